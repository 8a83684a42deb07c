"""The items that can be searched and walked through on the page: all of a small catalogue, a part of a large one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.arrays import F64
from drq_spark.report.data import Explored
from drq_spark.tokenizer.keys import keys_to_codes

MOST = 20_000
"""Items on the page; some 100 bytes each."""
_SPARE = 1.3  # more prefixes than that many items fill on average; `MOST` cuts what is too many
_PARTS = 2**32


def drawn_items(sids: DataFrame, codebook_sizes: tuple[int, ...], items: int) -> pa.Table:
    """At most `MOST` of the items of a run, by sid: item_id, sid, suffix, margin (the smallest), exposure.

    They are drawn by what comes before the last code, so that nearly all items that share a SID, and their neighbours,
    are there together.
    """
    above = codebook_sizes[-1] if len(codebook_sizes) > 1 else 1
    family = F.pmod(F.xxhash64(F.expr(f"sid div {above}")), F.lit(_PARTS)).alias("family")
    margin = F.array_min("margin").alias("margin")
    thin = sids.select("item_id", "sid", "suffix", margin, "exposure", family)
    if items > MOST:
        thin = thin.where(F.col("family") < int(_SPARE * MOST / items * _PARTS))
        thin = thin.orderBy("family", "sid", "suffix", "item_id").limit(MOST)
    return thin.drop("family").toArrow().sort_by([("sid", "ascending"), ("suffix", "ascending")])


def explored(drawn: pa.Table, names: Mapping[Any, str], codebook_sizes: tuple[int, ...], items: int) -> Explored | None:
    """What the page holds of the drawn items; None where there are none.

    Args:
        drawn: See `drawn_items`.
        names: Text by id.
        codebook_sizes: K per level.
        items: All that have a SID.
    """
    if not len(drawn):
        return None
    ids = drawn["item_id"].to_pylist()
    return Explored(
        ids=tuple(map(str, ids)),
        names=tuple(names[item] for item in ids),
        codes=keys_to_codes(drawn["sid"].to_numpy(), codebook_sizes),
        margin=_numbers(drawn["margin"]),
        exposure=_numbers(drawn["exposure"]),
        items=items,
    )


def _numbers(column: pa.ChunkedArray) -> F64 | None:
    """float64 [n]; None where some are not known."""
    return None if column.null_count else np.asarray(column, np.float64)
