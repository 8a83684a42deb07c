"""A bounded hash sample of items with their SIDs, on the driver: what is not counted of all items is taken from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.arrays import F32, F64
from drq_spark.blocks import row_blocks
from drq_spark.formulas import ratios
from drq_spark.hashing import sample_key
from drq_spark.inputs.embeddings import read_embeddings
from drq_spark.metrics import ITEMS, Metric, MetricRow
from drq_spark.tokenizer.model import Normalize, normalized

_ITEMS = 20_000
_BYTES = 2**28  # of the embeddings that reach the driver


@dataclass(frozen=True)
class ItemSample:
    """Items with the lowest sample keys, in the order of their keys.

    Attributes:
        codes: int32 [n, L].
        x: Prepared embeddings float32 [n, D]; None where there are none.
        whole: Whether these are all items.
        ids: Their ids as text [n].
    """

    codes: NDArray[np.int32]
    x: F32 | None
    whole: bool
    ids: pa.Array | None = None


def sample_items(
    sids: DataFrame, levels: int, seed: int, items: DataFrame | None, dim: int, normalize: Normalize, most: int = _ITEMS
) -> ItemSample:
    """At most `most` items by hash, the same under any partitioning; fewer where embeddings are long.

    Args:
        sids: item_id, codes and more, of items that all have a usable embedding where `items` is given.
        levels, items, dim, normalize: As for `sample_of`.
        seed: Seed of the hash.
        most: How many items at most.
    """
    most = min(most, fitting(dim)) if items is not None else most
    return sample_of(lowest_keys(sids, seed, most), levels, items, dim, normalize, most)


def fitting(dim: int) -> int:
    """How many embeddings of D numbers the driver takes."""
    return _BYTES // (4 * dim)


def lowest_keys(sids: DataFrame, seed: int, most: int) -> DataFrame:
    """item_id, codes, key, text (the id) of the items with the lowest keys, and of one more where there is one."""
    text = F.col("item_id").cast("string").alias("text")
    keyed = sids.select("item_id", "codes", sample_key(seed, 0.0).alias("key"), text)
    return keyed.orderBy("key", "text").limit(most + 1)


def sample_of(
    drawn: DataFrame, levels: int, items: DataFrame | None, dim: int, normalize: Normalize, most: int
) -> ItemSample:
    """The first of some items on the driver.

    Args:
        drawn: Rows of `lowest_keys`.
        levels: L.
        items: item_id, embedding; their embeddings are not shuffled: the drawn ids are broadcast.
        dim: D, where `items` is given.
        normalize: How embeddings are prepared.
        most: How many items are kept; that there are more says that these are not all.
    """
    if items is not None:
        drawn = items.select("item_id", "embedding").join(F.broadcast(drawn), "item_id")
    rows = drawn.toArrow().sort_by([("key", "ascending"), ("text", "ascending")])
    kept = rows.slice(0, most).combine_chunks()
    codes = _chunk(kept, "codes").flatten().to_numpy(zero_copy_only=False).reshape(-1, levels).astype(np.int32)
    x = None
    if items is not None:
        x = normalized(read_embeddings(_chunk(kept, "embedding"), dim, normalize).x, normalize)
    return ItemSample(codes, x, len(rows) <= most, _chunk(kept, "text"))


def _chunk(rows: pa.Table, name: str) -> pa.Array:
    """A column of a table in one chunk as an array."""
    column = rows.column(name)
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def mean_centred_square(sample: ItemSample) -> float | None:
    """Mean of ||x - mean||^2 over the items; None without embeddings."""
    return None if sample.x is None or not len(sample.x) else float(centred_square(sample.x).mean())


def centred_square(x: F32) -> F64:
    """||x - mean||^2 [n] of rows [n, D], block by block."""
    mean, square = x.mean(axis=0, dtype=np.float64), np.empty(len(x))
    for block in row_blocks(*x.shape):
        square[block] = np.square(x[block] - mean).sum(axis=1)
    return square


def sampled_ratio(metric: Metric, level: int, above: F64, below: F64, whole: bool) -> MetricRow:
    """sum above / sum below over drawn items, with its standard error where those were not all there are."""
    value = ratios.ratio(float(above.sum()), float(below.sum()))
    error = None if whole or not np.isfinite(value) else ratios.sample_standard_error(above, below)
    return MetricRow(metric.value, level, ITEMS, None, value, error)
