"""One integer tensor of all SIDs, as GRID and NVIDIA's sid_gr load it."""

from __future__ import annotations

import numpy as np

from drq_spark.errors import SetupError
from drq_spark.export.export_source import ExportSource
from drq_spark.export.item_numbers import count_of_numbers, numbered_rows
from drq_spark.export.ordered_parts import NUMBER, batches
from drq_spark.export.token_rows_worker import codes_of_batch
from drq_spark.export.whole_output import Output
from drq_spark.files import writing

_NO_SID = -1


def write_tensor(source: ExportSource, output: Output) -> None:
    """`sids.pt`, torch int64 [L + 1, N] (the last row the suffix; [L, N] without), and `ids.parquet`: number, item_id.

    Column i is the item with number i; with `rows_of` a row whose item has no SID has -1.

    Raises:
        SetupError: torch is not installed.
        ConfigError: the driver has too little memory.
    """
    try:
        import torch
    except ImportError:
        raise SetupError("a tensor is written by torch, which is not installed: pip install torch") from None
    count, height = count_of_numbers(source), source.levels + source.has_suffix
    source.require_memory("tensor", 8 * height * count)
    rows = numbered_rows(source, output.scratch)
    sids = np.full((height, count), _NO_SID, np.int64)
    thin = f"{output.scratch}/numbered"
    rows.select(NUMBER, "codes", source.chosen_suffix.alias("suffix")).write.parquet(thin)
    for batch in batches(thin):
        place = batch.column(NUMBER).to_numpy()
        sids[: source.levels, place] = codes_of_batch(batch).T
        if source.has_suffix:
            sids[-1, place] = batch.column("suffix").to_numpy()
    with writing(f"{output.result}/sids.pt") as stream:
        torch.save(torch.from_numpy(sids), stream)
    rows.select(NUMBER, "item_id").orderBy(NUMBER).write.parquet(f"{output.result}/ids.parquet")
