"""Figures of shown items against loops over users and pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drq_spark.formulas.click_figures import balanced_log_loss, grouped_auc
from drq_spark.formulas.estimates import user_mean


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    users = np.repeat([9, 2, 5, 7], [4, 1, 3, 2])
    return rng.integers(0, 4, 10).astype(float), rng.integers(0, 4, (10, 3)).astype(float), rng.permutation(users)


NUMBERS = st.sampled_from([-np.inf, -1.5, 0.0, 0.25, 3.0, np.inf])  # few, so that many are equal


@given(
    rows=st.lists(st.tuples(st.integers(-2, 3), st.lists(NUMBERS, min_size=4, max_size=4)), min_size=1, max_size=30),
    others=st.integers(1, 3),
)
def test_auc_within_users_is_that_of_a_loop_over_their_pairs(rows, others):
    users, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    came, shown = scores[:, 0], scores[:, 1 : 1 + others]
    own = np.empty(len(users))
    for user in set(users.tolist()):
        mine = users == user
        pairs = [(c > o) + (c == o) / 2 for c in came[mine] for o in shown[mine].ravel()]
        own[mine] = sum(pairs) / len(pairs)
    found, expected = grouped_auc(came, shown, users), user_mean(own, users)
    assert found.value == pytest.approx(expected.value)
    assert found.error == pytest.approx(expected.error, abs=1e-12, nan_ok=True)


def test_log_loss_is_that_of_the_two_probabilities(scores):
    came, others, users = scores
    yes, no = 1 / (1 + np.exp(-came)), 1 - 1 / (1 + np.exp(-others))
    expected = -(np.log(yes).mean() + np.log(no).mean()) / 2
    assert balanced_log_loss(came, others, users).value == pytest.approx(expected)
