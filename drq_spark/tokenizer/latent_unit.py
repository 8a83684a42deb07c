"""The unit of sigma: how far latents spread, in one number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drq_spark.arrays import F32, F64
from drq_spark.blocks import row_blocks

_BLOCK_ELEMENTS = 2**21  # float64 numbers of one block of rows


def effective_rms(latents: F32, weights: Sequence[F32 | None]) -> tuple[float, ...]:
    """RMS per effective coordinate of latents float32 [n, d], one for each metric W = diag(weight), None for ones.

    sqrt(tr S^2 / tr S), S the covariance (divisor n) of W z. Dimensions without variance and rotations do not change
    it; sqrt(tr S / p) with p the participation ratio (tr S)^2 / tr S^2 is the same number. Zero where the latents do
    not vary.
    """
    covariance = _covariance(latents)
    weighed = (covariance if weight is None else covariance * np.outer(weight, weight) for weight in weights)
    traces = ((float(np.trace(part)), float((part * part).sum())) for part in weighed)
    return tuple(float(np.sqrt(square / trace)) if trace > 0 else 0.0 for trace, square in traces)


def _covariance(latents: F32) -> F64:
    """Covariance float64 [d, d] with divisor n, block by block; zeros for no rows."""
    rows, dim = latents.shape
    covariance = np.zeros((dim, dim))
    if not rows:
        return covariance
    mean = latents.mean(axis=0, dtype=np.float64)
    for block in row_blocks(rows, dim, _BLOCK_ELEMENTS):
        centred = latents[block] - mean
        covariance += centred.T @ centred
    return np.asarray(covariance / rows)
