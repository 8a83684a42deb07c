"""From the SIDs of a sample to those of the whole catalogue: how many different ones, duplicates, shared ones.

A SID is a box, an item a ball; U(x) is the expected number of occupied boxes after x samples' worth of items, in
samples. Its slope is the chance that the next item opens a box, which at the end of the sample is the share f_1 / n of
items alone in their box (Good 1953, The population frequencies of species). The curve between and beyond is that of
boxes with gamma-distributed intensities, continued over the log series to power laws:

    s(x) = U'(x) = (1 + kappa rho x)^(-1 / kappa),    U(x) = (1 - s(x)^(1 - kappa)) / (rho (1 - kappa))

rho is the rate of collisions, kappa how uneven the boxes are: 0 uniform boxes, below 1 finitely many boxes (negative
binomial counts of shape 1 / kappa - 1), 1 Fisher's log series, above 1 growth like x^(1 - 1 / kappa) without end.
Source: Engen 1974, On species frequency models, Biometrika 61(2), extended negative binomial. The two parameters follow
from the two numbers that matter most, U(1) and s(1). What the sample holds is kept; the curve only says what is added.

The interval has four parts, drawn together: the counts of the sample (every f_j a gamma variate, so that what was
never seen may still be there), the items to come, the misfit of the curve, which grows with ln(N / n), and the other
fit that a run will make. The last two were measured where the truth is known (docs/planning.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drq_spark.arrays import F64, I64

MISFIT = 0.1  # standard deviation of ln(predicted / true number of added duplicates), for each e-fold of N / n
REFIT = 0.08  # standard deviation of ln(odds of being a duplicate) between fits of one shape to one catalogue
CONFIDENCE = 0.95
_DRAWS = 2000
_UNSEEN = 0.5  # pairs added to what was seen, of which a sample without any may have missed some (Jeffreys)
_LEAST_ALONE = 0.5  # items alone in their box: with none at all the curve would have no slope
_EVEN = 1e-9  # kappa of boxes that are as good as uniform
_STEEPEST = 500.0  # largest kappa * ln(1 / s): beyond, expm1 leaves float64
_HALVINGS = 100


@dataclass(frozen=True)
class Occupancy:
    """How often the SIDs of a sample occur: `sids[i]` of them `times[i]` times.

    Attributes:
        times: int64 [J], different and ascending, from 1.
        sids: int64 [J], f_j, all above 0.
    """

    times: I64
    sids: I64

    @property
    def items(self) -> int:
        """n = sum_j j f_j."""
        return int(self.times @ self.sids)

    @property
    def unique(self) -> int:
        """Number of different SIDs, sum_j f_j."""
        return int(self.sids.sum())

    @property
    def alone(self) -> int:
        """Number of items whose SID no other item has, f_1."""
        return int(self.sids[self.times == 1].sum())


@dataclass(frozen=True)
class Estimate:
    """A figure of the whole catalogue, and the interval that holds it with `CONFIDENCE`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Extrapolated:
    """Figures of N items: 1 - U / N, the share of items whose SID someone else has, and U."""

    duplicate_rate: Estimate
    shared_rate: Estimate
    unique_sids: Estimate


def occupancy(keys: NDArray[np.integer]) -> Occupancy:
    """Count the keys [n] of a sample.

    >>> occupancy(np.array([7, 7, 3, 9, 9, 1]))  # two SIDs once, two twice
    Occupancy(times=array([1, 2]), sids=array([2, 2]))
    """
    counts = np.unique(keys, return_counts=True)[1]
    times, sids = np.unique(counts, return_counts=True)
    return Occupancy(times.astype(np.int64), sids.astype(np.int64))


def extrapolate(seen: Occupancy, items: int, possible: float, seed: int) -> Extrapolated:
    """Figures of a catalogue of N = `items` from those of a uniform sample of n <= N of them.

    Where the sample is the catalogue the figures are counted, and the interval is that of another fit.

    Args:
        seen: How often the SIDs of the sample occur.
        items: N.
        possible: SIDs that there can be, prod K.
        seed: Seed of the draws of the interval.

    Raises:
        ValueError: fewer items than the sample has.

    >>> seen = Occupancy(np.arange(1, 7), np.array([368, 184, 61, 15, 3, 1]))  # 1,000 items in 1,000 uniform boxes
    >>> found = extrapolate(seen, 4000, 1e9, seed=0)
    >>> round(found.unique_sids.value, -1), round(found.duplicate_rate.value, 2)  # 1,000 (1 - e^-4) = 982
    (980.0, 0.75)
    """
    size = seen.items
    if items < size:
        raise ValueError(f"a sample of {size} items cannot be one of {items}")
    growth = items / size
    surplus, shared = float(size - seen.unique), float(size - seen.alone)
    least = max(0.0, 1 - possible / items)  # of the duplicate rate
    added = _added(np.array([seen.unique / size]), np.array([seen.alone / size]), size, growth)
    drawn, noise, refit = _drawn(seen, growth, seed)

    def rates(known: float, expected: F64, draws: F64, most: float) -> F64:
        """The value first, then its draws."""
        value, others = (((known + more) / items).clip(known / items, most) for more in (expected, draws * noise))
        return np.concatenate([value, others * refit / (1 - others + others * refit)]).clip(least, 1.0)

    duplicates = rates(surplus, added[0], drawn[0], 1 - seen.unique / items)
    return Extrapolated(
        duplicate_rate=_estimate(duplicates),
        shared_rate=_estimate(rates(shared, added[1], drawn[1], 1.0)),
        unique_sids=_estimate(items * (1 - duplicates)),
    )


def overlap_of_all(overlap: float, sample: int, items: int) -> float:
    """Expected overlap O_pi that N = `items` have, from that of n = `sample` of them.

    O_pi of n items is the mean over all pairs with replacement, of which a share of 1 / n are an item with itself, at
    overlap 1; the mean over pairs of different items, (n O - 1) / (n - 1), is the same for any number of items.

    >>> overlap_of_all(0.25, 4, 4), overlap_of_all(0.25, 4, 10**9) < 1e-8  # 4 items on 4 codes that never overlap
    (0.25, True)
    """
    between = (sample * overlap - 1) / (sample - 1) if sample > 1 else overlap
    return max(between, 0.0) + (1 - max(between, 0.0)) / items


def fit_curve(unique: ArrayLike, alone: ArrayLike) -> tuple[F64, F64]:
    """rho and kappa with U(1) = unique and s(1) = alone, element by element.

    With a = ln(1 / s(1)): rho = (e^(kappa a) - 1) / kappa, and U(1) falls with kappa from (1 - e^-a) / a to s(1), so
    that halving finds it. More unique SIDs than uniform boxes would have are taken for uniform boxes.

    Args:
        unique: U / n.
        alone: f_1 / n, above 0; at most `unique`.

    >>> rho, kappa = fit_curve([np.log(2.0)], [0.5])  # ln(1 + x) and 1 / (1 + x): Fisher's log series
    >>> rho.round(6).tolist(), kappa.round(6).tolist()
    ([1.0], [1.0])
    """
    wanted, bend = np.asarray(unique, np.float64), -np.log(np.asarray(alone, np.float64))
    low, high = np.full(bend.shape, np.log(_EVEN)), np.log(_STEEPEST / np.maximum(bend, 1e-12))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        kappa = np.exp(middle)
        above = curve(1.0, np.expm1(kappa * bend) / kappa, kappa)[0] > wanted
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    kappa = np.exp(low)
    return np.expm1(kappa * bend) / kappa, kappa


def curve(x: float, rho: F64, kappa: F64) -> tuple[F64, F64]:
    """U(x) and s(x) of the module docstring, [B] each.

    >>> unique, alone = curve(2.0, np.array([1.0]), np.array([1e-9]))  # uniform boxes: 1 - e^-2, e^-2
    >>> unique.round(4).tolist(), alone.round(4).tolist()
    ([0.8647], [0.1353])
    """
    bend = np.log1p(kappa * rho * x) / kappa
    rest = 1 - kappa
    series = np.abs(rest * bend) < 1e-12  # towards the log series, and towards no collisions at all
    with np.errstate(divide="ignore", invalid="ignore"):
        unique = np.where(series, bend / rho, -np.expm1(-rest * bend) / (rho * rest))
    return np.where(rho * x < 1e-15, x, unique), np.exp(-bend)


def _added(unique: F64, alone: F64, size: int, growth: float) -> tuple[F64, F64]:
    """Surplus items and items with company that are added from n to N, from U / n and f_1 / n, [B] each."""
    rho, kappa = fit_curve(unique, np.clip(alone, _LEAST_ALONE / size, None))
    (unique_before, alone_before), (unique_after, alone_after) = (curve(x, rho, kappa) for x in (1.0, growth))
    surplus = (growth - unique_after) - (1 - unique_before)
    company = growth * (1 - alone_after) - (1 - alone_before)
    return size * np.maximum(surplus, 0.0), size * np.maximum(company, 0.0)


def _drawn(seen: Occupancy, growth: float, seed: int) -> tuple[tuple[F64, F64], F64, F64]:
    """`_added` under drawn counts [B], a factor [B] on them for the items to come and the misfit, and one for a refit.

    The last factor is on the odds of all duplicates.
    """
    random, size = np.random.default_rng(seed), seen.items
    times, shape = np.append(seen.times, 2), np.append(seen.sids, _UNSEEN)
    counts = random.standard_gamma(shape, (_DRAWS, len(shape)))
    items = counts @ times
    added = _added(counts.sum(axis=1) / items, counts @ (times == 1) / items, size, growth)
    expected = np.maximum(added[0], 1e-300)
    chance = random.standard_gamma(expected) / expected
    misfit, refit = random.standard_normal((2, _DRAWS))
    return added, chance * np.exp(MISFIT * np.log(growth) * misfit), np.exp(REFIT * refit)


def _estimate(value_and_draws: F64) -> Estimate:
    value, tail = float(value_and_draws[0]), (1 - CONFIDENCE) / 2
    low, high = np.quantile(value_and_draws[1:], [tail, 1 - tail]).tolist()
    return Estimate(value, min(low, value), max(high, value))
