"""SIDs whose tokenizer is not here: how well their codebooks rebuild the embeddings, on a sample of the items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32, F64
from drq_spark.blocks import row_blocks
from drq_spark.measure.item_sample import ItemSample, centred_square, sampled_ratio
from drq_spark.metrics import Metric, MetricRow
from drq_spark.vectors import row_cosines


def fidelity(sample: ItemSample, books: Sequence[F32]) -> list[MetricRow]:
    """relative_mse, mean_cosine and residual_share of x_hat = sum of the codewords, from the drawn items.

    Standard errors are those of a ratio of means (linearised) and of a mean; none where all items were drawn.
    """
    if sample.x is None or not len(sample.codes):
        return []
    square, cosine = np.empty((len(books), len(sample.x))), np.empty(len(sample.x))
    for block in row_blocks(*sample.x.shape):
        square[:, block], cosine[block] = _errors(sample.x[block].astype(np.float64), sample.codes[block], books)
    centred = centred_square(sample.x)
    rows = [sampled_ratio(Metric.RELATIVE_MSE, 0, square[-1], centred, sample.whole)]
    rows.append(sampled_ratio(Metric.MEAN_COSINE, 0, cosine, np.ones(len(cosine)), sample.whole))
    shares = enumerate(square, start=1)
    rows += [sampled_ratio(Metric.RESIDUAL_SHARE, level, left, centred, sample.whole) for level, left in shares]
    return [row for row in rows if np.isfinite(row.value)]


def _errors(x: F64, codes: NDArray[np.int32], books: Sequence[F32]) -> tuple[F64, F64]:
    """||x - sum of the first l codewords||^2 [L, n], and cos(x, x_hat) [n], 0 where a norm is 0."""
    residual, square = x.copy(), np.empty((len(books), len(x)))
    for level, book in enumerate(books):
        residual -= book[codes[:, level]]
        square[level] = np.square(residual).sum(axis=1)
    return square, row_cosines(x, x - residual)
