"""How well scores tell the item that was taken from those that were shown beside it, list by list."""

from __future__ import annotations

import numpy as np

from drq_spark.arrays import F64


def area_of_lists(scores: F64) -> F64:
    """AUC inside each list, float64 [q]: the share of the other items that score below the one that was taken.

    Ties are half. The mean over lists is GAUC where a user has one list (Zhu et al. 2017, arXiv 1703.02091).

    Args:
        scores: float64 [q, 1 + C], the one that was taken first.

    >>> area_of_lists(np.array([[2.0, 1.0, 3.0], [1.0, 1.0, 0.0]])).tolist()
    [0.5, 0.75]
    """
    taken, others = scores[:, :1], scores[:, 1:]
    return np.asarray((others < taken).mean(axis=1) + 0.5 * (others == taken).mean(axis=1))


def log_losses(scores: F64) -> F64:
    """Log loss of each list, float64 [q], the one that was taken weighing as much as all others together.

    (-ln p_0 - mean ln(1 - p_j)) / 2 with p = 1 / (1 + exp(-score)): a model that knows nothing has ln 2.

    Args:
        scores: float64 [q, 1 + C], logits, that of the one that was taken first.

    >>> log_losses(np.zeros((1, 3))).round(4).tolist()
    [0.6931]
    """
    of_taken, of_others = np.logaddexp(0.0, -scores[:, 0]), np.logaddexp(0.0, scores[:, 1:])
    return np.asarray((of_taken + of_others.mean(axis=1)) / 2)
