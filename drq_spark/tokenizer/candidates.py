"""What both certified searches share: the lowest columns by float32, and the cheapest of the candidates by float64.

Float32 scores have an error of at most e, so a column can be among the m cheapest only if its score is within 2 e of
the m-th lowest score: the m-th lowest may be too low by e, and the column's own too high by e. Where more than m
columns are that near, all of them are candidates, and float64 costs decide.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32, F64
from drq_spark.blocks import row_blocks

Index = NDArray[np.intp]

UNIT = 2.0**-24  # unit roundoff of float32
UNIT64 = 2.0**-53  # unit roundoff of float64
PAIR_ELEMENTS = 2**22  # float64 numbers gathered at a time where candidates are compared


def lowest_columns(scores: F32, error: F64, wanted: int) -> tuple[Index, F64]:
    """Columns of the `wanted` lowest scores [n, wanted], and the score [n] up to which a column may be one of them.

    Args:
        scores: [n, K], the same again afterwards.
        error: Bound on the error of the scores of each row, [n].
    """
    row = np.arange(len(scores))
    columns = np.empty((len(scores), wanted), np.intp)
    values = np.empty((len(scores), wanted), np.float32)
    for place in range(wanted):
        columns[:, place] = scores.argmin(axis=1)
        values[:, place] = scores[row, columns[:, place]]
        scores[row, columns[:, place]] = np.inf
    limit = values[:, -1].astype(np.float64) + 2 * error
    for place in reversed(range(wanted)):  # where a column was taken twice its first score is the true one
        scores[row, columns[:, place]] = values[:, place]
    return columns, limit


def undecided_rows(scores: F32, limit: F64, wanted: int) -> Index:
    """Rows where more than the `wanted` lowest columns lie within the limit; NaN counts as within."""
    return np.flatnonzero((within(scores, limit).sum(axis=1) > wanted) | ~np.isfinite(limit))


def within(scores: F32, limit: F64) -> NDArray[np.bool_]:
    """Whether each column lies within the limit of its row, [n, K]; what is NaN may."""
    return ~(scores > limit[:, None])


def cheapest_candidates(
    candidates: NDArray[np.bool_], wanted: int, width: int, cost: Callable[[Index, Index], F64]
) -> tuple[Index, F64]:
    """The `wanted` cheapest candidates of each row, the lower column first on ties, and their costs: [n, wanted].

    Args:
        candidates: [n, K], at least `wanted` in each row.
        width: Numbers that the cost of one candidate takes.
        cost: float64 costs of candidates by row and column, [m], [m] -> [m].
    """
    row, column = np.nonzero(candidates)
    costs = np.concatenate([cost(row[part], column[part]) for part in row_blocks(len(row), width, PAIR_ELEMENTS)])
    order = np.lexsort((column, costs, row))
    first = np.flatnonzero(np.diff(row[order], prepend=-1))
    chosen = order[first[:, None] + np.arange(wanted)]
    return column[chosen], costs[chosen]
