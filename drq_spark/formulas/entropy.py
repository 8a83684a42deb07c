"""Entropies of a division into cells, from how many cells hold how many items: as counted, and corrected for bias.

The plug-in entropy of a sample is too low, the more so the fewer items a cell holds. Where attributes cut prefixes into
ever smaller cells, its entropy falls even if they say nothing of the codes.

Sources:
    Grassberger 2003: Entropy estimates from insufficient samplings, arXiv physics/0307138.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, xlogy

from drq_spark.arrays import F64

EXACT_BELOW = 1_000
"""Cells with fewer items are counted by their exact size, larger ones by sums over all of them."""


@dataclass(frozen=True)
class CellSizes:
    """How many cells hold how many items; what it takes does not grow with the number of cells.

    Attributes:
        size: int64 [m], different counts n, 0 < n < EXACT_BELOW.
        cells: int64 [m], cells with that count.
        large_items: sum of n over the cells with n >= EXACT_BELOW.
        large_odd: Number of those cells with an odd n.
        large_n_log_n: Sum of n ln n over those cells.
    """

    size: NDArray[np.int64]
    cells: NDArray[np.int64]
    large_items: int = 0
    large_odd: int = 0
    large_n_log_n: float = 0.0

    @property
    def items(self) -> int:
        """N = sum n."""
        return int(self.size @ self.cells) + self.large_items


def plug_in_entropy(counted: CellSizes) -> float:
    """H = ln N - (sum_i n_i ln n_i) / N in nats: the entropy of the shares n_i / N; nan without items.

    It is too low by about (cells - 1) / 2N where cells hold many items, by more where they hold few.

    >>> round(plug_in_entropy(CellSizes(np.array([1, 2]), np.array([2, 1]))), 4)  # counts 2, 1, 1: 1.5 ln 2
    1.0397
    """
    small = float(counted.cells @ xlogy(counted.size, counted.size))
    return entropy_from_sums(counted.items, small + counted.large_n_log_n)


def grassberger_entropy(counted: CellSizes) -> float:
    """H = ln N - (sum_i n_i G(n_i)) / N in nats, corrected for the bias of small counts; nan without items.

    G(n) = psi(n) + (-1)^n / 2 [psi((n + 1) / 2) - psi(n / 2)], psi the digamma function (Grassberger 2003). It may lie
    above ln N: items that are each alone tell of many more cells than were seen.

    For n >= EXACT_BELOW, n ln n - 1 where n is odd and n ln n where it is even stand for n G(n). That is off by at
    most 1 / 3n a cell, so H is off by at most 1 / (3 EXACT_BELOW^2) = 3.4e-7 nats.

    >>> round(grassberger_entropy(CellSizes(np.array([1, 2]), np.array([2, 1]))), 4)  # ln 4 - (2 G(1) + 2 G(2)) / 4
    1.6567
    """
    if counted.items == 0:
        return float("nan")
    small = float(counted.cells @ (counted.size * _digamma_of_count(counted.size)))
    return float(np.log(counted.items) - (small + counted.large_n_log_n - counted.large_odd) / counted.items)


def _digamma_of_count(size: NDArray[np.int64]) -> F64:
    """G(n): G(1) = -gamma - ln 2, G(2) = 2 - gamma - ln 2, near ln n (n even) and ln n - 1/n (n odd) from there on."""
    sign = 1 - 2 * (size % 2)
    return np.asarray(digamma(size) + sign / 2 * (digamma((size + 1) / 2) - digamma(size / 2)))


ESTIMATORS: Mapping[str, Callable[[CellSizes], float]] = {
    "plug_in": plug_in_entropy,
    "grassberger": grassberger_entropy,
}
"""The values of attribute_gains.estimator."""


def entropy_from_sums(total: float, sum_n_log_n: float) -> float:
    """H = ln N - (sum_s n_s ln n_s) / N in nats: the entropy of counts n_s with sum N, from two sums over groups.

    >>> round(entropy_from_sums(4, 2 * np.log(2)), 4)  # counts 2, 1, 1: 1.5 ln 2
    1.0397
    """
    return max(0.0, float(np.log(total) - sum_n_log_n / total)) if total > 0 else float("nan")


def conditional_entropies(prefix_entropies: Sequence[float]) -> list[float]:
    """H(s^l | s^<l) = H(s^1..s^l) - H(s^1..s^{l-1}) for l = 1..L, in nats: the chain rule on entropies of prefixes.

    >>> conditional_entropies([2.0, 3.0, 3.5])
    [2.0, 1.0, 0.5]
    """
    steps = [longer - shorter for shorter, longer in pairwise([0.0, *prefix_entropies])]
    return [step if not step < 0 else 0.0 for step in steps]  # below 0 by rounding only; nan stays
