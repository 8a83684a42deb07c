"""How far the use of codes has moved: the Jensen-Shannon divergence (Lin 1991)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F64


def jensen_shannon(before: NDArray[np.integer], after: NDArray[np.integer]) -> float:
    """Divergence of two uses of the same codes, counts int [K]: from 0 for equal shares to 1 for none in common.

    JSD = H((p + q) / 2) - (H(p) + H(q)) / 2 in bits, p and q the shares. NaN where either counts nothing.
    """
    if not before.sum() or not after.sum():
        return float("nan")
    p, q = before / before.sum(), after / after.sum()
    return max(0.0, _bits((p + q) / 2) - (_bits(p) + _bits(q)) / 2)


def _bits(share: F64) -> float:
    """Entropy of shares [K] in bits."""
    some = share[share > 0]
    return float(-(some * np.log2(some)).sum())
