"""How the codes of one level are used: from counts to figures.

Conventions: `counts` are uses of the codes of one level, [K], unused codes as 0; items (int) or exposure (float) alike,
so that pi_k = counts_k / sum counts. A figure that does not exist (nothing counted, no variance) is nan: callers leave
its row out.

Source: Hill 1973: Diversity and evenness, Ecology 54(2). Perplexity is the number of order 1, inverse Simpson of
order 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from drq_spark.arrays import F64

Counts = NDArray[np.integer] | NDArray[np.floating]

GROUPS_PER_OCTAVE = 64
"""Groups of nearly equal exposure that segments are made of, about 1 % wide: group floor(64 log2 e) of exposure e."""

_SUMMED = 1e-9  # relative error of sums of floats in any order


@dataclass(frozen=True)
class LevelUsage:
    """Use of the codes of one level: items int64 [K]; exposure float64 [K] or None."""

    items: NDArray[np.int64]
    exposure: NDArray[np.float64] | None


def _checked(counts: Counts) -> Counts:
    if counts.ndim != 1 or not len(counts):
        raise ValueError(f"counts must be [K] with K > 0, not of shape {counts.shape}")
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise ValueError("counts must be finite and not negative")
    return counts


def shares_of(counts: Counts) -> F64:
    total = _checked(counts).sum()
    return np.asarray(counts / total, np.float64) if total > 0 else np.full(len(counts), np.nan)


def simpson(counts: Counts) -> float:
    shares = shares_of(counts)
    return float((shares * shares).sum())


def utilization(counts: Counts) -> float:
    """Share of the codes that are used at all: #{k: n_k > 0} / K; 0 where nothing is counted.

    >>> utilization(np.array([3, 1, 0, 0]))
    0.5
    """
    return float(np.count_nonzero(_checked(counts)) / len(counts))


def dead_codes(counts: Counts) -> int:
    """Number of codes that nothing uses: #{k: n_k = 0}.

    >>> dead_codes(np.array([3, 1, 0, 0]))
    2
    """
    return len(counts) - int(np.count_nonzero(_checked(counts)))


def perplexity(counts: Counts) -> float:
    """exp(H), H = -sum_k pi_k ln pi_k (Hill number of order 1): as many equally used codes have the same entropy.

    >>> round(perplexity(np.array([2, 1, 1, 0])), 4)  # exp(1.5 ln 2)
    2.8284
    """
    shares = shares_of(counts)
    return float(np.exp(-xlogy(shares, shares).sum()))


def inverse_simpson(counts: Counts) -> float:
    """1 / sum_k pi_k^2 (Hill number of order 2): as many equally used codes collide equally often.

    >>> round(inverse_simpson(np.array([2, 1, 1, 0])), 4)  # 1 / (1/4 + 1/16 + 1/16)
    2.6667
    """
    return 1.0 / simpson(counts)


def gini(counts: Counts) -> float:
    """Gini coefficient over all K codes: sum_i (2 i - K - 1) n_(i) / (K sum n), n_(1) <= .. <= n_(K); in [0, 1 - 1/K].

    It is the mean difference of two codes drawn at random, divided by twice the mean use.

    >>> gini(np.array([0, 0, 0, 8]))
    0.75
    """
    ordered = np.sort(shares_of(counts))
    rank = np.arange(1, len(ordered) + 1)
    spread = float(((2 * rank - len(ordered) - 1) * ordered).sum() / len(ordered))
    return 0.0 if spread < 0 else spread  # below 0 by rounding only; nan stays


def distribution(counts: Counts) -> float:
    """D = 1 / (K sum pi^2), in (0, 1]: what unequal use leaves of K.

    K_eff = K D G, so the penalties -ln D and -ln G add up.

    >>> round(distribution(np.array([2, 1, 1, 0])), 4)  # 2.6667 / 4
    0.6667
    """
    return inverse_simpson(counts) / len(counts)


def exposure_groups(exposure: F64) -> tuple[F64, F64]:
    """Lowest exposure and sum of exposure of each group of nearly equal exposure, float64 [G] each.

    Args:
        exposure: float64 [n], of the items; those that are never shown are in no group.

    >>> [part.tolist() for part in exposure_groups(np.array([0.0, 8.0, 1.0, 1.001]))]
    [[1.0, 8.0], [2.001, 8.0]]
    """
    shown = exposure[exposure > 0]
    _, group = np.unique(np.floor(np.log2(shown) * GROUPS_PER_OCTAVE), return_inverse=True)
    lowest = np.full(group.max(initial=-1) + 1, np.inf)
    np.minimum.at(lowest, group, shown)
    return lowest, np.bincount(group, shown, len(lowest)).astype(np.float64)


def segment_thresholds(lowest: F64, exposure: F64) -> tuple[float, float | None] | None:
    """Lowest exposure of the head and of the torso, from a histogram of exposure.

    The head is the smallest set of most exposed groups that carries at least a third of all exposure, the torso those
    after it up to two thirds. Groups stay whole. The torso's threshold is None where the head carries two thirds
    alone; None for both where there is no exposure.

    Args:
        lowest: float64 [G], lowest exposure of an item of each group; groups do not overlap.
        exposure: float64 [G], sum of exposure of each group.

    >>> segment_thresholds(np.array([1.0, 2.0, 5.0]), np.array([4.0, 4.0, 5.0]))  # 5 of 13, then 9 of 13
    (5.0, 2.0)
    >>> segment_thresholds(np.array([1.0, 9.0]), np.array([4.0, 9.0]))  # 9 of 13 are more than two thirds
    (9.0, None)
    """
    order = np.argsort(-lowest)
    carried = np.cumsum(exposure[order])
    if not len(order) or not carried[-1] > 0:
        return None
    # the order in which floats were summed must not decide whether a sum is exactly a third
    needed = carried[-1] * np.array([1.0, 2.0]) / 3.0 * (1.0 - _SUMMED)
    head, torso = np.searchsorted(carried, needed)
    return float(lowest[order[head]]), float(lowest[order[torso]]) if torso > head else None
