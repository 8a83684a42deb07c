"""Overlap of whole SIDs, estimated from draws where there are too many for all pairs.

A SID stands at q_s = sum_l c^l_{s^l}. For items drawn with replacement in proportion to a weight, N_s of m draws on
SID s,

    U = sum_{s != t} N_s N_t OVL(s, t) / (m (m - 1))

is an unbiased estimate of sum_{s != t} p_s p_t OVL(s, t). Pairs of equal SIDs count 0: their part of the expected
overlap, sum p_s^2, is known exactly. For all SIDs with their shares p_s use `formulas.expected_overlaps` on the
positions.

Source: Hoeffding 1948, A class of statistics with asymptotically normal distribution (U-statistics and their variance).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F64
from drq_spark.formulas.overlap import REACH, codeword_overlap, pair_distances


def estimated_overlaps(
    points: F64, times: NDArray[np.integer], sigmas: Sequence[float], weight: NDArray[np.floating] | None = None
) -> tuple[F64, F64]:
    """U and its standard error for S sigmas, float64 [S] each, with one pass over the pairs.

    Distances and overlaps are those of `formulas.expected_overlaps`. With h_ij the overlap of draws i and j, the
    variance is

        Var U = (4 (m - 2) zeta_1 + 2 zeta_2) / (m (m - 1)),
        zeta_1 = E[h_12 h_13] - E[h_12]^2, zeta_2 = E[h_12^2] - E[h_12]^2,

    each expectation by its own U-statistic, over different draws only; so it is right also where zeta_1 is near 0 and
    the second term is all there is. Memory beside `points` is about 100 MB. The error is nan below 4 draws.

    Args:
        points: [M, d], positions of different SIDs.
        times: int [M], how often each was drawn.
        weight: [d], None for ones.

    >>> u, error = estimated_overlaps(np.array([[0.0], [2.0]]), np.array([3, 2]), [1.0])
    >>> u.round(4).tolist()  # 2 * 3 * 2 * 0.3173 / (5 * 4)
    [0.1904]
    """
    drawn = times.astype(np.float64)
    row_sums, squares = np.zeros((len(sigmas), len(drawn))), np.zeros(len(sigmas))
    for rows, columns, distance in pair_distances(points, np.arange(len(drawn)), weight):
        if rows == columns:
            np.fill_diagonal(distance, np.inf)
        nearest = distance.min()
        for index, sigma in enumerate(sigmas):
            if nearest > REACH * sigma:
                continue
            overlap = codeword_overlap(distance, sigma)
            if rows != columns:
                row_sums[index, columns] += drawn[rows] @ overlap
            row_sums[index, rows] += overlap @ drawn[columns]
            np.square(overlap, out=overlap)
            squares[index] += (1 if rows == columns else 2) * float(drawn[rows] @ overlap @ drawn[columns])
    return _estimate(row_sums, squares, drawn)


def _estimate(row_sums: F64, squares: F64, drawn: F64) -> tuple[F64, F64]:
    """U and its error from sum_j h_ij of the draws on each SID, [S, M], and sum_{i != j} h_ij^2, [S]."""
    m = drawn.sum()
    pairs, triples, quadruples = m * (m - 1), m * (m - 1) * (m - 2), m * (m - 1) * (m - 2) * (m - 3)
    total = row_sums @ drawn
    shared = np.square(row_sums) @ drawn - squares  # sum of h_ij h_ik over different i, j, k
    apart = np.square(total) - 4 * shared - 2 * squares  # sum of h_ij h_kl over different i, j, k, l
    with np.errstate(divide="ignore", invalid="ignore"):
        squared_mean = apart / quadruples
        first = np.maximum(shared / triples - squared_mean, 0.0)
        second = np.maximum(squares / pairs - squared_mean, 0.0)
        error = np.sqrt((4 * (m - 2) * first + 2 * second) / pairs)
        return total / pairs, np.where(quadruples > 0, error, np.nan)
