"""The prefix tree of a run's SIDs in one file of arrays, with the items of every SID beside it."""

from __future__ import annotations

import numpy as np
from pyspark.sql import functions as F

from drq_spark.arrays import I32, I64
from drq_spark.export.export_source import ExportSource
from drq_spark.export.ordered_parts import NUMBER, batches, write_ordered
from drq_spark.export.prefix_tree import PrefixTree
from drq_spark.export.token_rows_worker import codes_of_batch
from drq_spark.export.whole_output import Output
from drq_spark.files import writing

_BYTES_A_LEVEL, _BYTES_A_SID = 4 + 8 + 4 + 8, 32  # the SIDs, and a node of each level: its row, code and children


def write_trie(source: ExportSource, output: Output) -> None:
    """`trie.npz` and `ids.parquet`.

    The arrays are `codes` and `children` of `PrefixTree`, `leaves` [1], `items` int64 [leaves + 1]: the items of SID j
    have the numbers `items[j]` to `items[j + 1]` in `ids.parquet` (number, item_id); and `codebook_sizes`. With a
    suffix, that is one level more, and every item a SID of its own.

    Raises:
        ConfigError: the driver has too little memory.
    """
    levels = source.levels + source.has_suffix
    source.require_memory("trie", source.items * (_BYTES_A_LEVEL * levels + _BYTES_A_SID))
    ordered = f"{output.scratch}/by_sid"
    rows = source.rows.select("item_id", "sid", "codes", "suffix")
    ids = write_ordered(rows, ["sid", "suffix", "item_id"], ordered)
    sids, items = _different(ordered, np.empty((source.items, levels), np.int32), source.levels)
    tree = PrefixTree.of_sids(sids)
    with writing(f"{output.result}/trie.npz") as stream:
        np.savez(
            stream,
            codes=tree.codes,
            children=tree.children,
            leaves=np.array([tree.leaves]),
            items=items,
            codebook_sizes=np.array(source.codebook_sizes),
        )
    ids.select(NUMBER, F.col("item_id")).orderBy(NUMBER).write.parquet(f"{output.result}/ids.parquet")


def _different(folder: str, sids: I32, levels: int) -> tuple[I32, I64]:
    """The different SIDs of sorted rows, in place of `sids`, and the first item of each; their number comes last.

    Args:
        folder: Where the rows are.
        sids: int32 [items, L], or one more with the suffix: room for them.
        levels: L.
    """
    first = np.empty(len(sids) + 1, np.int64)
    found = seen = 0
    last = np.full(sids.shape[1], -1, np.int32)
    for batch in batches(folder):
        rows = np.empty((batch.num_rows, sids.shape[1]), np.int32)
        rows[:, :levels] = codes_of_batch(batch)
        if sids.shape[1] > levels:
            rows[:, levels] = batch.column("suffix").to_numpy()
        new = np.flatnonzero((rows != np.concatenate([last[None], rows[:-1]])).any(axis=1))
        sids[found : found + len(new)], first[found : found + len(new)] = rows[new], seen + new
        found, seen, last = found + len(new), seen + len(rows), rows[-1]
    first[found] = seen
    return sids[:found], first[: found + 1]
