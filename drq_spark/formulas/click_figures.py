"""How well scores tell items that came from items that did not: within users, and as probabilities."""

from __future__ import annotations

import numpy as np

from drq_spark.arrays import F64, I64
from drq_spark.formulas.estimates import Estimate, user_mean


def grouped_auc(came: F64, others: F64, users: I64) -> Estimate:
    """GAUC: the AUC within each user, ties half, weighted by the user's questions; .5 says nothing.

    GAUC = sum_u q_u AUC_u / sum_u q_u, where AUC_u compares every item that came to u with every other one shown to u
    (Zhu et al. 2017, KDD). A user whose questions all have one score throughout counts as .5.

    Args:
        came: [q], score of the item that came in each question.
        others: [q, C], scores of those that did not.
        users: [q], a number for the user of each.

    >>> came, others = np.array([3.0, 1.0, 0.0]), np.array([[1.0], [0.0], [0.0]])
    >>> round(grouped_auc(came, others, np.array([7, 7, 8])).value, 4)  # (2 * 3.5 / 4 + 1 * 0.5) / 3
    0.75
    """
    _, user, questions = np.unique(users, return_inverse=True, return_counts=True)
    owners = np.concatenate([user, np.repeat(user, others.shape[1])])
    ranks = _ranks_within(owners, np.concatenate([came, others.reshape(-1)]))[: len(came)]
    # Mann and Whitney: the ranks of those that came, without what they have of each other, count the others they beat
    beaten = np.bincount(user, ranks) - questions * (questions + 1) / 2
    areas = beaten / np.maximum(1, questions * questions * others.shape[1])
    return user_mean(areas[user], users)


def _ranks_within(groups: I64, scores: F64) -> F64:
    """Rank of each score among those of its group, from 1, equal ones sharing the mean of theirs: [n], [n] -> [n].

    >>> _ranks_within(np.array([0, 0, 0, 1]), np.array([2.0, 5.0, 2.0, 1.0])).tolist()
    [1.5, 3.0, 1.5, 1.0]
    """
    order = np.lexsort((scores, groups))
    group, score = groups[order], scores[order]
    starts = np.flatnonzero(np.r_[True, (group[1:] != group[:-1]) | (score[1:] != score[:-1])])
    lengths = np.diff(np.r_[starts, len(order)])
    shared = starts + (lengths + 1) / 2  # the mean of the places of equal ones, from 1, among all groups
    before = np.searchsorted(group, group[starts])
    ranks = np.empty(len(order))
    ranks[order] = np.repeat(shared - before, lengths)
    return ranks


def balanced_log_loss(came: F64, others: F64, users: I64) -> Estimate:
    """Mean log loss of logits, the item that came and all others of a question weighing half each; ln 2 says nothing.

    So it is the same whatever the number of others; a model must have been trained with that balance.

    Args:
        came: [q], logit of the item that came in each question.
        others: [q, C], logits of those that did not.
        users: [q].

    >>> round(balanced_log_loss(np.zeros(2), np.zeros((2, 3)), np.array([1, 2])).value, 4)
    0.6931
    """
    losses = (np.logaddexp(0.0, -came) + np.logaddexp(0.0, others).mean(axis=1)) / 2
    return user_mean(losses, users)
