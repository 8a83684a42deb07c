"""Saying that a level collapsed: few codes do all the work, and nothing in the error of training need show it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drq_spark.train.figures import LevelFigures

_COLLAPSED = 0.5  # a level that uses less than this share of the codes that the rows could use


def collapse_warnings(
    levels: Sequence[LevelFigures], sizes: Sequence[int], rows: NDArray[np.float32], remedy: str
) -> list[str]:
    """A sentence for every collapsed level.

    Args:
        levels: figures on the rows that were fitted. sizes: K of each level.
        rows: float32 [n, D], those rows: as few different ones as there are codes in use are no collapse.
        remedy: what to do, appended.
    """
    if all(level.used >= _COLLAPSED for level in levels):
        return []
    distinct = len(np.unique(rows, axis=0))
    return [
        f"level {number} uses {round(level.used * size)} of {size} codes: {remedy}"
        for number, (level, size) in enumerate(zip(levels, sizes, strict=True), start=1)
        if level.used * size < _COLLAPSED * min(size, distinct)
    ]
