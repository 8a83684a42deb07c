"""Ratios of sums, and their standard errors."""

from __future__ import annotations

import numpy as np


def ratio(part: float, whole: float) -> float:
    """part / whole: quarantine_rate, mean_cosine, mean_margin and uncertain_share are sums over items divided by items.

    >>> ratio(3, 12)
    0.25
    """
    return float(part / whole) if whole > 0 else float("nan")


def ratio_standard_error(items: int, weight: float, hit: float, weight_square: float, hit_square: float) -> float:
    """Standard error of the weighted share R = sum w y / sum w of the items with y = 1 among n drawn alike.

    sqrt(n / (n - 1) sum w^2 (y - R)^2) / sum w: the linearised ratio estimator, without the factor 1 - n / N for a
    finite population. With equal weights it is sqrt(R (1 - R) / (n - 1)). nan for one item, or where nothing weighs.

    Source: Cochran 1977, Sampling Techniques, 3rd ed., section 6.4.

    Args:
        items: n. weight: sum w. hit: sum w y. weight_square: sum w^2. hit_square: sum w^2 y.

    >>> ratio_standard_error(17, 17.0, 8.5, 17.0, 8.5)  # sqrt(1/2 * 1/2 / 16)
    0.125
    """
    if items < 2 or not weight > 0:
        return float("nan")
    rate = hit / weight
    square = (1 - 2 * rate) * hit_square + rate * rate * weight_square
    return float(np.sqrt(max(0.0, square) * items / (items - 1)) / weight)
