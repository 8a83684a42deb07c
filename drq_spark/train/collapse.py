"""Saying that a level collapsed: few codes do all the work, which the error of training need not show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drq_spark.formulas.duplicates import different_rows
from drq_spark.train.evaluation import LevelFigures

_LEAST_USED = 0.5  # share of the codes that the rows could use; below it a level has collapsed
_LEAST_EVEN = 0.25  # the same of its perplexity
_ROWS_PER_CODE = 16  # that tell whether there are as many different rows as codes
_NOTHING_LEFT = 1e-4  # of the variance: a level that finds no more has nothing to tell apart


def collapse_warnings(
    levels: Sequence[LevelFigures], sizes: Sequence[int], rows: NDArray[np.float32], remedy: str
) -> list[str]:
    """A sentence for every collapsed level.

    Args:
        levels: Figures on the rows that were fitted.
        sizes: K of each level.
        rows: float32 [n, D], those rows in random order: as few different ones as there are codes in use are no
            collapse.
        remedy: What to do, appended.
    """
    if all(level.used >= _LEAST_USED and level.perplexity >= _LEAST_EVEN for level in levels):
        return []
    distinct = len(different_rows(rows[: _ROWS_PER_CODE * max(sizes)])[0])
    before = [1.0, *(level.relative_mse for level in levels)]
    return [
        f"level {index + 1} uses {round(level.used * size)} of {size} codes, no better than "
        f"{max(1, round(level.perplexity * size))} codes used evenly: {remedy}"
        for index, (level, size) in enumerate(zip(levels, sizes, strict=True))
        if before[index] > _NOTHING_LEFT and _collapsed(level, size, min(size, distinct))
    ]


def _collapsed(level: LevelFigures, size: int, usable: int) -> bool:
    return level.used * size < _LEAST_USED * usable or level.perplexity * size < _LEAST_EVEN * usable
