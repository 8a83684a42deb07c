"""Whether codes say anything of the embeddings that they are said to be of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F64

_PERMUTATIONS = 19  # by chance alone, one of twenty is the highest


def between_share(codes: NDArray[np.integer], x: F64) -> float:
    """Share of sum ||x - mean||^2 that lies between codes: sum_c n_c ||mean_c - mean||^2 / sum ||x - mean||^2.

    nan where all rows are equal.

    Args:
        codes: [n].
        x: float64 [n, D].

    >>> between_share(np.array([0, 0, 1, 1]), np.array([[0.0], [2.0], [4.0], [6.0]]))
    0.8
    """
    centred = x - x.mean(axis=0)
    order = np.argsort(codes, kind="stable")
    _, starts, rows = np.unique(codes[order], return_index=True, return_counts=True)
    sums = np.add.reduceat(centred[order], starts, axis=0)
    whole = float(np.square(centred).sum())
    return float((np.square(sums).sum(axis=1) / rows).sum()) / whole if whole > 0 else float("nan")


def no_better_than_chance(codes: NDArray[np.integer], x: F64, seed: int) -> bool:
    """Whether the share between codes is not above that of all of 19 random orders of the same codes.

    Codes that have something to do with the rows are beyond chance as soon as rows are many. False where nothing can
    be told: one code, a code for every row, or rows that are all equal.

    Args:
        codes: [n].
        x: float64 [n, D].
        seed: Of the random orders.
    """
    used = len(np.unique(codes))
    share = between_share(codes, x) if 1 < used < len(codes) else float("nan")
    if not np.isfinite(share):
        return False
    random = np.random.default_rng(seed)
    return share <= max(between_share(random.permutation(codes), x) for _ in range(_PERMUTATIONS))
