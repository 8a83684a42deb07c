"""How well a list of items names the one that came: its rank, and hits and gains at a cut."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F64, I32, I64

NOT_NAMED = -1
"""In place of a rank where a list lacks the item."""


def target_ranks(listed: I32, target: I32) -> I64:
    """Place of the target in each list from 0, int64 [q]; `NOT_NAMED` where the list lacks it.

    Args:
        listed: int32 [q, k], different items, the likeliest first.
        target: int32 [q].

    >>> target_ranks(np.array([[7, 5], [5, 7]]), np.array([7, 9])).tolist()
    [0, -1]
    """
    found = listed == target[:, None]
    return np.where(found.any(axis=1), found.argmax(axis=1) if listed.shape[1] else NOT_NAMED, NOT_NAMED)


def recall_at(ranks: I64, k: int) -> F64:
    """Recall@k of each list with one target, float64 [q]: 1 where it is among the first k, else 0.

    Args:
        ranks: int64 [q], from `target_ranks` of lists of k items or more.

    >>> recall_at(np.array([0, 2, -1]), 2).tolist()
    [1.0, 0.0, 0.0]
    """
    return _within(ranks, k).astype(np.float64)


def ndcg_at(ranks: I64, k: int) -> F64:
    """NDCG@k of each list with one target, float64 [q]: 1 / log2(r + 2) for rank r below k, else 0.

    Source: Järvelin and Kekäläinen 2002. The best list has the target first, so the ideal gain is 1.

    Args:
        ranks: int64 [q], from `target_ranks` of lists of k items or more.

    >>> ndcg_at(np.array([0, 2, -1]), 3).tolist()
    [1.0, 0.5, 0.0]
    """
    inside = _within(ranks, k)
    return np.where(inside, 1 / np.log2(np.where(inside, ranks, 0) + 2), 0.0)


def _within(ranks: I64, k: int) -> NDArray[np.bool_]:
    return np.asarray((ranks != NOT_NAMED) & (ranks < k))
