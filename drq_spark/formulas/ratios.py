"""Ratios of sums R = sum a / sum b, and their standard errors.

Every error here is that of the linearised ratio estimator: with the deviation d = (a - R b) / sum b of what was drawn,
it is sqrt(f sum d^2). They differ in what was drawn, and so in the factor f:

- `ratio_standard_error`: a share among n items drawn alike, each with a weight; f = n / (n - 1).
- `clustered_standard_error`: a figure of pairs, where users were drawn; d is the sum over the pairs of a user, and
  f = U / (U - 1) for U users.
- `sample_standard_error`: a figure of a large sample of items; f = 1, which 20,000 items do not tell from n / (n - 1).

None has the factor 1 - n / N for a finite population: callers that draw much of one put it in. Source: Cochran 1977,
Sampling Techniques, 3rd ed., section 6.4; for users chapter 11 (ultimate clusters).
"""

from __future__ import annotations

import numpy as np

from drq_spark.arrays import F64, I64


def ratio(part: float, whole: float) -> float:
    """part / whole: quarantine_rate, mean_cosine, mean_margin and uncertain_share are sums over items divided by items.

    >>> ratio(3, 12)
    0.25
    """
    return float(part / whole) if whole > 0 else float("nan")


def ratio_standard_error(items: int, weight: float, hit: float, weight_square: float, hit_square: float) -> float:
    """Standard error of the weighted share R = sum w y / sum w of the items with y = 1 among n drawn alike.

    sqrt(n / (n - 1) sum w^2 (y - R)^2) / sum w. With equal weights it is sqrt(R (1 - R) / (n - 1)). It is nan for
    one item, or where nothing weighs.

    Args:
        items: n.
        weight: sum w.
        hit: sum w y.
        weight_square: sum w^2.
        hit_square: sum w^2 y.

    >>> ratio_standard_error(17, 17.0, 8.5, 17.0, 8.5)  # sqrt(1/2 * 1/2 / 16)
    0.125
    """
    if items < 2 or not weight > 0:
        return float("nan")
    rate = hit / weight
    square = (1 - 2 * rate) * hit_square + rate * rate * weight_square
    return float(np.sqrt(max(0.0, square) * items / (items - 1)) / weight)


def clustered_standard_error(deviations: F64, users: I64) -> float:
    """sqrt(U / (U - 1) sum_u d_u^2), d_u the sum of the deviations of user u; nan for fewer than two users.

    Args:
        deviations: [n], of every pair.
        users: [n], a number for the user of each.

    >>> clustered_standard_error(np.array([0.25, 0.25, -0.5]), np.array([7, 7, 3]))  # sqrt(2 / 1 * (0.25 + 0.25))
    1.0
    """
    known, user = np.unique(users, return_inverse=True)
    if len(known) < 2:
        return float("nan")
    sums = np.bincount(user, deviations)
    return float(np.sqrt(len(known) / (len(known) - 1) * np.square(sums).sum()))


def sample_standard_error(part: F64, whole: F64) -> float:
    """sqrt(sum (a - R b)^2) / sum b, from a and b [n] of every item of the sample.

    >>> sample_standard_error(np.array([0.0, 2.0]), np.array([1.0, 1.0]))  # sqrt(1 + 1) / 2
    0.7071067811865476
    """
    quotient = ratio(float(part.sum()), float(whole.sum()))
    return float(np.sqrt(np.square(part - quotient * whole).sum()) / whole.sum())
