"""Means, ratios and areas under curves of pairs drawn from users, with the errors that drawing users makes.

Pairs of one user are alike, so users are what was drawn; see `ratios.clustered_standard_error` for what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F64, I64
from drq_spark.blocks import row_blocks
from drq_spark.formulas.ratios import clustered_standard_error, ratio

Vectors = Callable[[I64], NDArray[np.floating]]

_BLOCK_ELEMENTS = 2**21
_DIGITS = 6  # of a cosine: equal SIDs tie, whatever the rounding of sums


def pair_auc(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> float:
    """P(p > n) + P(p = n) / 2 for a score p of a true pair and n of another one: 0.5 says nothing, 1 tells all apart.

    It is the Mann-Whitney statistic U / (P N) with ties as half (Hanley and McNeil 1982), and nan where one side has
    no scores.

    Args:
        positive: [P].
        negative: [N].

    >>> pair_auc(np.array([3.0, 1.0]), np.array([1.0, 0.0]))  # 3 > 1, 3 > 0, 1 = 1, 1 > 0
    0.875
    """
    return _area(_twice_beaten(positive, negative), len(negative))


def _twice_beaten(scores: NDArray[np.floating], others: NDArray[np.floating]) -> I64:
    """How many of the others each score is above, twice over; a tie counts once, which is half."""
    ordered = np.sort(others)
    return np.asarray(ordered.searchsorted(scores, side="left") + ordered.searchsorted(scores, side="right"))


def _area(beaten: I64, others: int) -> float:
    """The area under the curve, from `_twice_beaten` of the true pairs."""
    return ratio(0.5 * float(beaten.sum()), len(beaten) * others)


class Estimate(NamedTuple):
    """A figure and its standard error; nan where there is none."""

    value: float
    error: float


def sample_mean(values: F64, population: int) -> Estimate:
    """Mean of n of N values, drawn without replacement; its error is s / sqrt(n) sqrt(1 - n / N).

    Source: Cochran 1977. The error is nan where all were drawn, for the mean is exact then.

    Args:
        values: [n].
        population: N.

    >>> tuple(round(part, 4) for part in sample_mean(np.array([0.0, 1.0]), 4))  # sqrt(1/2) / sqrt(2) * sqrt(1/2)
    (0.5, 0.3536)
    """
    drawn = len(values)
    if not 1 < drawn < population:
        return Estimate(float(values.mean()) if drawn else float("nan"), float("nan"))
    error = values.std(ddof=1) / np.sqrt(drawn) * np.sqrt(1 - drawn / population)
    return Estimate(float(values.mean()), float(error))


def user_mean(values: F64, users: I64) -> Estimate:
    """Mean m = sum v / n over pairs; deviations (v - m) / n.

    Args:
        values: [n], of every pair.
        users: [n], a number for the user of each.

    >>> tuple(round(part, 4) for part in user_mean(np.array([0.0, 0.0, 1.0, 1.0]), np.array([5, 5, 8, 8])))
    (0.5, 0.5)
    """
    mean = ratio(float(values.sum()), len(values))
    return Estimate(mean, clustered_standard_error((values - mean) / max(1, len(values)), users))


def user_ratio(part: F64, whole: F64, users: I64) -> Estimate:
    """Ratio R = sum a / sum b over the same pairs; deviations (a - R b) / sum b; nan where sum b is 0.

    Args:
        part, whole: [n], a and b of every pair.
        users: [n].

    >>> user_ratio(np.array([1.0, 0.0]), np.array([1.0, 1.0]), np.array([1, 2])).value
    0.5
    """
    total = float(whole.sum())
    quotient = ratio(float(part.sum()), total)
    if not total > 0:
        return Estimate(quotient, float("nan"))
    return Estimate(quotient, clustered_standard_error((part - quotient * whole) / total, users))


def user_auc(positive: F64, negative: F64, positive_users: I64, negative_users: I64) -> Estimate:
    """`pair_auc` A; deviations (V - A) / P of the P true pairs and (W - A) / N of the N others.

    V is the share of the other scores that a true pair's score beats, W the share of the true scores that beat another
    pair's score, ties half: placement values (DeLong et al. 1988), summed by user (Obuchowski 1997, Biometrics 53).

    Args:
        positive: [P].
        negative: [N].
        positive_users, negative_users: [P] and [N].

    >>> user_auc(np.array([3.0, 1.0]), np.array([1.0, 0.0]), np.array([1, 2]), np.array([1, 2])).value
    0.875
    """
    beaten = _twice_beaten(positive, negative)
    area = _area(beaten, len(negative))
    if np.isnan(area):
        return Estimate(area, float("nan"))
    above, below = 0.5 * beaten / len(negative), 1.0 - 0.5 * _twice_beaten(negative, positive) / len(positive)
    deviations = np.concatenate([(above - area) / len(positive), (below - area) / len(negative)])
    return Estimate(area, clustered_standard_error(deviations, np.concatenate([positive_users, negative_users])))


def centred_cosines(parts: Sequence[tuple[Vectors, F64]], left: I64, right: I64) -> F64:
    """Cosine [p] of the centred vectors of each pair, to 6 digits; 0 where one is zero. Memory is a few blocks.

    Args:
        parts: What a vector is concatenated of: a function from rows [n] to vectors [n, d_i], and the mean [d_i] that
            is taken off.
        left, right: [p], rows.

    >>> x = np.array([[2.0, 1.0], [1.0, 2.0], [0.0, 0.0]])
    >>> centred_cosines([(x.__getitem__, x.mean(axis=0))], np.array([0, 0]), np.array([1, 2])).tolist()
    [0.0, -0.707107]
    """
    cosines = np.empty(len(left))
    for block in row_blocks(len(left), max(len(mean) for _, mean in parts), _BLOCK_ELEMENTS):
        inner, left_square, right_square = np.zeros((3, len(left[block])))
        for vectors, mean in parts:
            a, b = vectors(left[block]) - mean, vectors(right[block]) - mean
            inner += (a * b).sum(axis=1)
            left_square += np.square(a).sum(axis=1)
            right_square += np.square(b).sum(axis=1)
        length = np.sqrt(left_square * right_square)
        cosines[block] = inner / np.where(length > 0, length, 1.0)
    return np.round(cosines, _DIGITS)
