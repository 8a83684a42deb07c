"""Gains of attributes from the rows, slowly: what attribute_gains must give."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from drq_spark.formulas.entropy import CellSizes

Codes = Sequence[tuple[int, ...]]
Attributes = Sequence[tuple[Hashable, ...]]
Permute = Callable[[list[int], int, int], list[int]]
"""Rows of a group, step, level -> the rows whose attributes they get."""


@cache
def even_g(half: int) -> float:
    """G(2 half) by recursion: G(2) = 2 - gamma - ln 2, G(n + 2) = G(n) + 2 / (n + 1)."""
    total = -np.euler_gamma - math.log(2)
    for k in range(half):
        total += 2 / (2 * k + 1)
    return total


def g(n: int) -> float:
    """Grassberger's G(n): that of the even number below, where n is odd."""
    return even_g(n // 2)


def entropy(labels: Sequence[Hashable], estimator: str) -> float:
    """From the definition."""
    counts, total = Counter(labels).values(), len(labels)
    if estimator == "plug_in":
        return -sum(n / total * math.log(n / total) for n in counts)
    return math.log(total) - sum(n * g(n) for n in counts) / total


def gains(
    codes: Codes, attributes: Attributes, estimator: str, permute: Permute
) -> dict[tuple[int, int], tuple[float, float, float]]:
    """(step, level) -> conditional entropy, gain, gain of the last attribute permuted in its groups."""
    rows = range(len(codes))

    def conditional(level: int, known: Sequence[tuple[Hashable, ...]]) -> float:
        longer = entropy([(codes[i][:level], known[i]) for i in rows], estimator)
        return longer - entropy([(codes[i][: level - 1], known[i]) for i in rows], estimator)

    found = {}
    for step in range(1, len(attributes[0]) + 1):
        before, known = [[a[:steps] for a in attributes] for steps in (step - 1, step)]
        for level in range(1, len(codes[0]) + 1):
            groups = defaultdict(list)
            for i in rows:
                groups[codes[i][: level - 1], before[i]].append(i)
            drawn = list(known)
            for group in groups.values():
                for i, other in zip(group, permute(group, step, level), strict=True):
                    drawn[i] = (*before[i], attributes[other][step - 1])
            start, end, chance = (conditional(level, labels) for labels in (before, known, drawn))
            found[step, level] = (end, start - end, start - chance)
    return found


def cell_sizes(counts: NDArray[np.integer] | Sequence[int], exact_below: int = 1000) -> CellSizes:
    """Of the counts of all cells."""
    counts = np.asarray(counts)
    small, large = counts[(counts > 0) & (counts < exact_below)], counts[counts >= exact_below]
    size, cells = np.unique(small.astype(np.int64), return_counts=True)
    n_log_n = float((large * np.log(large)).sum())
    return CellSizes(size, cells, int(large.sum()), int((large % 2).sum()), n_log_n)
