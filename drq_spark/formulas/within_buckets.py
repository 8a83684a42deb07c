"""How far apart the items of a shared SID lie, from some of them: which SIDs are chosen, and the estimate.

A chosen SID shows its items, or some of them where it has many. SIDs with many items are chosen more often, for most
items are theirs; the estimate takes that back.

Sources:
    Efraimidis and Spirakis 2006 for the keys; Cohen and Kaplan 2007 (bottom-k sketches, rank conditioning) for what
    the chance of being chosen is once the chosen ones are known; Saerndal, Swensson and Wretman 1992 (Model Assisted
    Survey Sampling, two-stage sampling, linearised ratio) for the estimate and its standard error.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np

from drq_spark.arrays import F64, I64


@dataclass(frozen=True)
class ChosenSids:
    """The first `count` SIDs by key.

    Attributes:
        count: How many.
        chance: [count], the chance that each had to be chosen.
        shown: [count], how many items of each are looked at.
    """

    count: int
    chance: F64
    shown: I64


@dataclass(frozen=True)
class Moments:
    """What the shown items of k SIDs tell, [k] each; d is the distance of an item from the mean of those shown.

    Attributes:
        items: How many items the SID has.
        shown: How many of them are looked at.
        rows: How many of those have a usable embedding.
        square: sum d^2.
        fourth: sum d^4.
        chance: Chance of the SID to be chosen.
    """

    items: I64
    shown: I64
    rows: F64
    square: F64
    fourth: F64
    chance: F64


def choose_sids(key: F64, items: I64, most: int) -> ChosenSids:
    """Choose SIDs up to `most` items: whole ones if all fit, else at most sqrt(most) items of each, more of few SIDs.

    Args:
        key: float64 [n], ascending; an exponential variate divided by the SID's items, of all shared SIDs or of those
            `most // 2 + 1` with the lowest keys, which are more than can be chosen.
        items: int64 [n], 2 or more.
        most: 100 or more.

    Returns:
        The SIDs below the lowest key that would bring too many items. Given the others, that key t does not depend on
        a chosen SID's own, so the chance of a SID with n items is 1 - exp(-n t).

    >>> choose_sids(np.array([0.1, 0.2, 0.3, 0.5]), np.array([90, 400, 5, 7]), 100)
    ChosenSids(count=4, chance=array([1., 1., 1., 1.]), shown=array([25, 25,  5,  7]))
    """
    whole = int(items.sum()) <= most
    shown = items if whole else np.minimum(items, max(isqrt(most), most // len(items)))
    count = int(np.searchsorted(np.cumsum(shown), most, side="right"))
    chance = np.ones(count) if count == len(key) else -np.expm1(-items[:count] * key[count])
    return ChosenSids(count, chance, shown[:count])


def mean_square_within(found: Moments) -> tuple[float, float | None]:
    """sum_s S_s / sum_s n_s with S_s = sum ||x - mean of s||^2, over all shared SIDs s, and its standard error.

    Every chosen SID stands for 1 / chance of them (Hajek's ratio). Where t of n items are shown, sum d^2 (n - 1) /
    (t - 1) is S without bias. The variance is that of the linearised ratio over SIDs plus that of the items within, by
    the jackknife: without one item, sum d^2 / (t - 1) is (sum d^2 - d^2 t / (t - 1)) / (t - 2).
    Shown items without a usable embedding count as not there, and so do as many of the others in proportion; SIDs
    that are left with one item are not shared.

    Returns:
        The mean square, nan where nothing is left; the standard error, None where every item of every SID was shown.

    >>> both = np.array([2, 2])
    >>> mean_square_within(Moments(both, both, both, np.array([4.0, 2.0]), np.array([8.0, 2.0]), np.ones(2)))
    (1.5, None)
    """
    kept = found.rows >= 2
    t, c, chance = (part[kept].astype(np.float64) for part in (found.rows, found.shown, found.chance))
    n = found.items[kept] * t / c
    square = found.square[kept] * (n - 1) / (t - 1)
    weight = 1 / chance
    total = float((n * weight).sum())
    if not total > 0:
        return float("nan"), None
    mean = float((square * weight).sum()) / total
    if (found.shown == found.items).all() and (found.chance == 1).all():
        return mean, None
    between = float(((1 - chance) * np.square(weight * (square - mean * n))).sum())
    uneven = np.maximum(found.fourth[kept] - np.square(found.square[kept]) / t, 0.0)
    jackknife = uneven * t / ((t - 1) * np.square(np.maximum(t - 2, 1)))
    within = float((weight * np.square(n - 1) * (1 - t / n) * jackknife).sum())
    return mean, float(np.sqrt(between + within)) / total
