"""How far latents move, from the displacements of a few items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F64


@dataclass(frozen=True)
class Movement:
    """RMS displacement per effective coordinate and its standard error, one number a metric; None for one item."""

    rms: tuple[float, ...]
    standard_error: tuple[float, ...] | None


def movement(displacements: Iterable[F64], weights: Sequence[NDArray[np.floating] | None]) -> Movement:
    """sqrt(tr S^2 / tr S), S = E[delta delta^T], of displacements delta = W (z' - z) for each W = diag(weight).

    The counterpart of `tokenizer.latent_unit.effective_rms`, not centred: a shift of all latents is movement too.
    Rotations and coordinates that do not move change nothing. tr S = E |delta|^2, tr S^2 = E (delta_i . delta_j)^2
    over different items i, j of the same block: unlike the trace of the squared sample moment that is not too high
    where there are few items for the coordinates, and no d x d matrix is needed. The error comes from the items'
    projections (delta method) and is a little high where all items move alike.

    Args:
        displacements: Blocks of rows, float64 [n_b, d], of about equal length.
        weights: [d] each, None for ones.

    Raises:
        ValueError: there is no row.

    >>> movement([np.array([[3.0, 4.0], [3.0, 4.0]])], [None, np.array([0.0, 1.0])]).rms
    (5.0, 4.0)
    """
    parts = [[_of_block(block, weight) for weight in weights] for block in displacements if len(block)]
    if not parts:
        raise ValueError("there is no displacement")
    found = [_combined(np.concatenate(per_block, axis=1)) for per_block in zip(*parts, strict=True)]
    errors = tuple(error for _, error in found)
    return Movement(tuple(rms for rms, _ in found), None if np.isnan(errors).any() else errors)


def _of_block(block: F64, weight: NDArray[np.floating] | None) -> F64:
    """Per row i: |delta_i|^2, and the mean of (delta_i . delta_j)^2 over the other rows j: [2, n_b]."""
    delta = block if weight is None else block * weight
    square = np.square(delta).sum(axis=1)
    if len(delta) == 1:
        return np.stack([square, np.square(square)])  # one direction is all there is
    dots = np.square(delta @ delta.T)
    np.fill_diagonal(dots, 0.0)
    return np.stack([square, dots.sum(axis=1) / (len(delta) - 1)])


def _combined(rows: F64) -> tuple[float, float]:
    """RMS and its error (nan for one item) from the numbers of all items, [2, n]."""
    (trace, squared), items = rows.mean(axis=1), rows.shape[1]
    if not squared > 0:
        return 0.0, 0.0 if items > 1 else float("nan")
    rms = float(np.sqrt(squared / trace))
    influence = rms * (rows[1] / squared - 0.5 * rows[0] / trace)
    return rms, float(influence.std(ddof=1) / np.sqrt(items)) if items > 1 else float("nan")
