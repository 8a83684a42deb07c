"""Reconstruction and margins of a run that did not encode all its items, on a sample of them."""

from __future__ import annotations

import numpy as np

from drq_spark.blocks import row_blocks
from drq_spark.measure.item_sample import ItemSample, centred_square, sampled_ratio
from drq_spark.metrics import Metric, MetricRow
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.alternatives import residual_squares
from drq_spark.vectors import row_cosines


def sampled_fidelity(sample: ItemSample, tokenizer: Tokenizer) -> list[MetricRow]:
    """relative_mse, mean_cosine, residual_share and mean_margin, as `figures` has them of all items.

    Where some of the items have other SIDs than their embeddings by themselves, relative_mse_encoded, too. Standard
    errors are those of a ratio of means (linearised); none where all items were drawn.

    Args:
        sample: Items with their prepared embeddings.
        tokenizer: What their SIDs are of.
    """
    if sample.x is None or not len(sample.x):
        return []
    n, levels = len(sample.x), tokenizer.levels
    square, own_square, cosine, z = *np.empty((3, n)), np.empty((n, tokenizer.latent_dim), np.float32)
    left, margin = np.empty((n, levels)), np.empty((n, levels))
    for block in row_blocks(*sample.x.shape):
        x, codes = sample.x[block], sample.codes[block]
        z[block], encoding = tokenizer.encode_prepared(x)
        decoded = tokenizer.decode(codes)
        square[block] = np.square(x - decoded).sum(axis=1)
        own_square[block] = np.square(x - tokenizer.decode(encoding.codes)).sum(axis=1)
        cosine[block] = row_cosines(x.astype(np.float64), decoded)
        left[block], margin[block] = residual_squares(tokenizer, z[block], codes), encoding.margin
    whole = centred_square(sample.x)
    latent = np.square(tokenizer.weighed(z - z.mean(axis=0, dtype=np.float64))).sum(axis=1)
    ones = np.ones(n)
    rows = [
        sampled_ratio(Metric.RELATIVE_MSE, 0, square, whole, sample.whole),
        sampled_ratio(Metric.MEAN_COSINE, 0, cosine, ones, sample.whole),
    ]
    if (square != own_square).any():
        rows.append(sampled_ratio(Metric.RELATIVE_MSE_ENCODED, 0, own_square, whole, sample.whole))
    for level in range(levels):
        rows.append(sampled_ratio(Metric.RESIDUAL_SHARE, level + 1, left[:, level], latent, sample.whole))
        rows.append(sampled_ratio(Metric.MEAN_MARGIN, level + 1, margin[:, level], ones, sample.whole))
    return [row for row in rows if np.isfinite(row.value)]
