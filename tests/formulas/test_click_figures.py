"""Figures of shown items against loops over users and pairs."""

from __future__ import annotations

import numpy as np
import pytest

from drq_spark.formulas.click_figures import balanced_log_loss, grouped_auc


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    users = np.repeat([9, 2, 5, 7], [4, 1, 3, 2])
    return rng.integers(0, 4, 10).astype(float), rng.integers(0, 4, (10, 3)).astype(float), rng.permutation(users)


def test_auc_within_users_is_that_of_a_loop_over_their_pairs(scores):
    came, others, users = scores
    total = 0.0
    for user in set(users.tolist()):
        mine = users == user
        pairs = [(c > o) + (c == o) / 2 for c in came[mine] for o in others[mine].ravel()]
        total += mine.sum() * sum(pairs) / len(pairs)
    found = grouped_auc(came, others, users)
    assert found.value == pytest.approx(total / len(users))
    assert found.error > 0


def test_log_loss_is_that_of_the_two_probabilities(scores):
    came, others, users = scores
    yes, no = 1 / (1 + np.exp(-came)), 1 - 1 / (1 + np.exp(-others))
    expected = -(np.log(yes).mean() + np.log(no).mean()) / 2
    assert balanced_log_loss(came, others, users).value == pytest.approx(expected)
