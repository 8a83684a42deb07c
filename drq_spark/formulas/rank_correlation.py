"""Do two figures order things alike? Spearman's rank correlation, with an interval by resampling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from drq_spark.arrays import F64, I64
from drq_spark.formulas.ratios import ratio

_RESAMPLES = 2_000
_FEWEST_GROUPS = 4  # of fewer, most resamplings have one or two, and an interval says nothing


class RankCorrelation(NamedTuple):
    """A correlation from -1 to 1, and the ends of an interval; nan where it is not known."""

    value: float
    low: float
    high: float


def spearman(first: F64, second: F64) -> float:
    """Correlation of the ranks of two figures over n things, ties with their mean rank; nan where one is constant.

    rho = cov(rank a, rank b) / (sd rank a * sd rank b) (Spearman 1904).

    Args:
        first, second: [n].

    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0]))
    0.5
    """
    a, b = (rankdata(values) - (len(values) + 1) / 2 for values in (first, second))
    return ratio(float(a @ b), float(np.sqrt((a @ a) * (b @ b))))


def rank_correlation(first: F64, second: F64, groups: I64, confidence: float = 0.9) -> RankCorrelation:
    """`spearman` with the percentile interval of 2,000 resamplings of whole groups (Efron 1979).

    Things of one group are alike, as runs of one tokenizer under several seeds are: groups are what is drawn anew. The
    draws are the same ones for the same number of groups; one in which a figure is constant does not count. Of fewer
    than four groups there is no interval.

    Args:
        first, second: [n].
        groups: int64 [n], a number for the group of each thing.
        confidence: Share of the resamplings that the interval holds.
    """
    names, group = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(group == one) for one in range(len(names))]
    random, found = np.random.default_rng(len(names)), []
    for _ in range(_RESAMPLES if len(names) >= _FEWEST_GROUPS else 0):
        rows = np.concatenate([members[one] for one in random.integers(len(names), size=len(names))])
        found.append(spearman(first[rows], second[rows]))
    known = np.array([value for value in found if np.isfinite(value)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail]) if len(known) else (float("nan"), float("nan"))
    value = spearman(first, second)
    # a group that is drawn twice makes ties, which pull correlations near 1 and -1 to the middle
    return RankCorrelation(value, min(float(low), value), max(float(high), value))
