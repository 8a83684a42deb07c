"""SIDs whose tokenizer is not here: what their codebooks tell, on a bounded hash sample of the items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.arrays import F32, F64
from drq_spark.formulas import ratios
from drq_spark.hashing import sample_key
from drq_spark.inputs.embeddings import read_embeddings
from drq_spark.metrics import Metric, MetricRow
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.model import Normalize, normalized

_ITEMS = 20_000
_BYTES = 2**28  # of the embeddings that reach the driver
_BLOCK = 4096  # rows that are rebuilt at once


@dataclass(frozen=True)
class Drawn:
    """Items with the lowest sample keys, in the order of their keys.

    Attributes:
        codes: int32 [n, L]. x: prepared embeddings float32 [n, D], or None. whole: whether these are all items.
    """

    codes: NDArray[np.int32]
    x: F32 | None
    whole: bool


def draw(
    sids: DataFrame, levels: int, seed: int, items: DataFrame | None, dim: int, normalize: Normalize, most: int = _ITEMS
) -> Drawn:
    """At most `most` items by hash, the same under any partitioning; fewer where embeddings are long.

    Args:
        sids: item_id, codes, exposure and more, of items that all have a usable embedding where `items` is given.
        items: item_id, embedding; their embeddings are not shuffled: the drawn ids are broadcast.
    """
    most = min(most, _BYTES // (4 * dim)) if items is not None else most
    text = F.col("item_id").cast("string").alias("text")
    keyed = sids.select("item_id", "codes", sample_key(seed, 0.0).alias("key"), text)
    drawn = keyed.orderBy("key", "text").limit(most + 1)
    if items is not None:
        drawn = items.select("item_id", "embedding").join(F.broadcast(drawn), "item_id")
    rows = drawn.toArrow().sort_by([("key", "ascending"), ("text", "ascending")])
    kept = rows.slice(0, most).combine_chunks()
    codes = _chunk(kept, "codes").flatten().to_numpy(zero_copy_only=False).reshape(-1, levels).astype(np.int32)
    x = None
    if items is not None:
        x = normalized(read_embeddings(_chunk(kept, "embedding"), dim, normalize).x, normalize)
    return Drawn(codes, x, len(rows) <= most)


def _chunk(rows: pa.Table, name: str) -> pa.Array:
    """A column of a table in one chunk as an array."""
    column = rows.column(name)
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def rebuilt(codes: NDArray[np.int32], books: Sequence[F32]) -> F32:
    """z_q = sum_l c^l_{s^l}, float32 [n, d], added in float64."""
    total = np.zeros((len(codes), books[0].shape[1]))
    for level, book in enumerate(books):
        total += book[codes[:, level]]
    return total.astype(np.float32)


def agreement(codes: NDArray[np.int32], z: F32, tokenizer: Tokenizer, most: int = 2000) -> tuple[float, int]:
    """Share of the first latents z [n, d] whose nearest codewords are their codes [n, L]; and of how many it is.

    1 where SIDs are greedy residual quantization of z; far below where z is another space, where a beam chose the
    codes, or where codes were moved apart.
    """
    nearest = tokenizer.encode_latent(z[:most]).codes
    return float((nearest == codes[:most]).all(axis=1).mean()), len(nearest)


def mean_centred_square(drawn: Drawn) -> float | None:
    """Mean of ||x - mean||^2 over the drawn items; None without embeddings."""
    return None if drawn.x is None or not len(drawn.x) else float(_centred_square(drawn.x).mean())


def _centred_square(x: F32) -> F64:
    """||x - mean||^2 [n] of rows [n, D], block by block."""
    mean, square = x.mean(axis=0, dtype=np.float64), np.empty(len(x))
    for start in range(0, len(x), _BLOCK):
        square[start : start + _BLOCK] = np.square(x[start : start + _BLOCK] - mean).sum(axis=1)
    return square


def fidelity(drawn: Drawn, books: Sequence[F32]) -> list[MetricRow]:
    """relative_mse, mean_cosine and residual_share of x_hat = sum of the codewords, from the drawn items.

    Standard errors are those of a ratio of means (linearised) and of a mean; none where all items were drawn.
    """
    if drawn.x is None or not len(drawn.codes):
        return []
    square, cosine = np.empty((len(books), len(drawn.x))), np.empty(len(drawn.x))
    for start in range(0, len(drawn.x), _BLOCK):
        block = slice(start, start + _BLOCK)
        square[:, block], cosine[block] = _errors(drawn.x[block].astype(np.float64), drawn.codes[block], books)
    centred = _centred_square(drawn.x)
    rows = [_ratio(Metric.RELATIVE_MSE, 0, square[-1], centred, drawn.whole)]
    rows.append(_ratio(Metric.MEAN_COSINE, 0, cosine, np.ones(len(cosine)), drawn.whole))
    shares = enumerate(square, start=1)
    rows += [_ratio(Metric.RESIDUAL_SHARE, level, left, centred, drawn.whole) for level, left in shares]
    return [row for row in rows if np.isfinite(row.value)]


def _errors(x: F64, codes: NDArray[np.int32], books: Sequence[F32]) -> tuple[F64, F64]:
    """||x - sum of the first l codewords||^2 [L, n], and cos(x, x_hat) [n], 0 where a norm is 0."""
    residual, square = x.copy(), np.empty((len(books), len(x)))
    for level, book in enumerate(books):
        residual -= book[codes[:, level]]
        square[level] = np.square(residual).sum(axis=1)
    x_hat = x - residual
    norms = np.sqrt(np.square(x).sum(axis=1) * np.square(x_hat).sum(axis=1))
    return square, np.divide((x * x_hat).sum(axis=1), norms, out=np.zeros(len(x)), where=norms > 0)


def _ratio(metric: Metric, level: int, above: F64, below: F64, whole: bool) -> MetricRow:
    """sum above / sum below, with its standard error where not all items were drawn."""
    value = ratios.ratio(float(above.sum()), float(below.sum()))
    error = None if whole or not np.isfinite(value) else ratios.sample_standard_error(above, below)
    return MetricRow(metric.value, level, "items", None, value, error)
