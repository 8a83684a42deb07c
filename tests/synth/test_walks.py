"""Events of synthetic users: popularity, neighbourhoods, order."""

from __future__ import annotations

import numpy as np
import pytest

from drq_spark.synth.likeness import Likeness, Shape
from drq_spark.synth.walks import LONGEST, by_popularity, expected_events, walks

REAL = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
LIKENESS = Likeness.of(REAL, neighbours=3)


def test_users_are_the_same_in_any_company():
    shape = Shape(500, 300, seed=2)
    whole = walks(np.arange(300), LIKENESS, shape)
    for users in (np.arange(300)[::-1], np.array([7]), np.arange(0, 300, 3)):
        some = walks(users, LIKENESS, shape)
        for user in users[:20]:
            mine, theirs = whole.user == user, some.user == user
            np.testing.assert_array_equal(whole.item[mine], some.item[theirs])
            np.testing.assert_array_equal(whole.second[mine], some.second[theirs])


def test_lengths_and_times():
    made = walks(np.arange(20_000), LIKENESS, Shape(500, 20_000, mean_events=12))
    lengths = np.bincount(made.user)
    assert lengths.min() == 2
    assert lengths.max() <= LONGEST
    assert lengths.mean() == pytest.approx(12, rel=0.03)
    same = made.user[1:] == made.user[:-1]
    assert (np.diff(made.second)[same] > 0).all()
    assert (np.diff(made.user) >= 0).all()


@pytest.mark.parametrize("zipf", [0.5, 1.0, 1.3])
def test_leaps_meet_items_as_often_as_they_are_expected_to(zipf):
    shape = Shape(50, 1000, mean_events=10, zipf=zipf)
    uniform = (np.arange(200_000) + 0.5) / 200_000
    found = np.bincount(by_popularity(uniform, shape), minlength=50) / 200_000
    expected = expected_events(np.arange(50), shape) / 10_000
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert expected.sum() == pytest.approx(1)
    assert expected[9] / expected[39] == pytest.approx(4**zipf, rel=0.1)


def test_a_walk_stays_with_the_real_items_near_by_and_without_one_there_are_leaps_only():
    def steps(walk):
        made = walks(np.arange(2000), LIKENESS, Shape(4000, 2000, walk=walk))
        same = made.user[1:] == made.user[:-1]
        return LIKENESS.parents(made.item[:-1][same]), LIKENESS.parents(made.item[1:][same])

    before, after = steps(1.0)
    near = [b == a or b in LIKENESS.neighbours[a] for a, b in zip(before, after, strict=True)]
    assert all(near)
    before, after = steps(0.0)
    near = [b == a or b in LIKENESS.neighbours[a] for a, b in zip(before, after, strict=True)]
    assert np.mean(near) < 0.3


@pytest.mark.parametrize("items", [1, 39, 40, 41])
def test_fewer_items_than_real_ones_do(items):
    made = walks(np.arange(200), LIKENESS, Shape(items, 200))
    assert made.item.min() >= 0
    assert made.item.max() < items
