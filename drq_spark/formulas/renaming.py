"""How many codes changed between two runs, before and after the best renaming of codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from drq_spark.formulas.ratios import ratio


def churn(confusion: NDArray[np.integer]) -> float:
    """Share of the items whose code changed: 1 - sum_k n_kk / N; nan where no item is in both runs.

    Args:
        confusion: [K_before, K_after], n_ij items with code i before and j after.

    >>> churn(np.array([[0, 3], [1, 0]]))
    1.0
    """
    return _moved(confusion, int(np.trace(confusion)))


def churn_matched(confusion: NDArray[np.integer]) -> float:
    """`churn` after the best renaming of codes: 1 - max_m sum_k n_{k m(k)} / N over one-to-one matchings m (Hungarian).

    It is never above `churn`. What is left is real movement between clusters, not new numbers for old clusters.

    >>> churn_matched(np.array([[0, 3], [1, 0]]))
    0.0
    """
    dense = confusion[confusion.any(axis=1)][:, confusion.any(axis=0)]
    before, after = linear_sum_assignment(dense, maximize=True)
    return _moved(confusion, int(dense[before, after].sum()))


def _moved(confusion: NDArray[np.integer], stayed: int) -> float:
    total = int(confusion.sum())
    return ratio(total - stayed, total)
