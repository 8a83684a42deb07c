"""Errors of estimates against what repeated draws of users scatter by, and areas against their definition."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

from drq_spark.formulas import estimates
from drq_spark.formulas.estimates import pair_auc

ROUNDS = 600


def test_examples():
    assert doctest.testmod(estimates).attempted >= 5
    assert doctest.testmod(estimates).failed == 0


def some_users(random, users=150):
    """User of each pair, few pairs for most; and how much each user likes what it does, for all of its pairs."""
    pairs = np.minimum(random.geometric(0.25, users), 12)
    user = np.repeat(np.arange(users), pairs)
    return user, random.normal(size=users)[user]


def repeated(estimate):
    """Scatter of an estimate over draws of users, and the mean of the errors that it claims."""
    found = [estimate(np.random.default_rng(seed)) for seed in range(ROUNDS)]
    return np.std([one.value for one in found]), np.mean([one.error for one in found])


def mean_of(random):
    user, taste = some_users(random)
    return estimates.user_mean((taste + random.normal(size=len(user)) > 0.3).astype(float), user)


def ratio_of(random):
    user, taste = some_users(random)
    whole = (taste + random.normal(size=len(user)) > -0.5).astype(float)
    kept = whole * (taste + random.normal(size=len(user)) > 0.0)
    return estimates.user_ratio(kept, whole, user)


def auc_of(random):
    user, taste = some_users(random)
    positive = 0.7 + taste + random.normal(size=len(user))
    negative = 0.5 * taste + random.normal(size=len(user))
    keep = random.random(len(user)) < 0.9
    return estimates.user_auc(positive, negative[keep], user, user[keep])


class TestErrors:
    @pytest.mark.parametrize("estimate", [mean_of, ratio_of, auc_of])
    def test_are_what_other_users_would_change(self, estimate):
        scatter, claimed = repeated(estimate)
        assert claimed == pytest.approx(scatter, rel=0.1)  # the scatter of 600 draws is known to 3 %

    def test_pairs_alone_would_claim_too_little(self):
        user, taste = some_users(np.random.default_rng(1))
        hit = (taste > 0).astype(float)
        by_pair = estimates.user_mean(hit, np.arange(len(hit))).error
        assert estimates.user_mean(hit, user).error > 1.5 * by_pair

    def test_of_a_sample_without_replacement(self):
        population = np.random.default_rng(0).random(40) ** 2
        draws = [np.random.default_rng(seed).choice(population, 25, replace=False) for seed in range(4000)]
        found = [estimates.sample_mean(draw, 40) for draw in draws]
        scatter = np.std([one.value for one in found])
        assert math.sqrt(np.mean([one.error**2 for one in found])) == pytest.approx(scatter, rel=0.05)

    def test_none_where_everything_or_one_user_was_seen(self):
        values = np.array([0.0, 1.0, 1.0])
        assert estimates.sample_mean(values, 3).value == pytest.approx(2 / 3)
        assert math.isnan(estimates.sample_mean(values, 3).error)
        for one in (
            estimates.user_mean(values, np.zeros(3, int)),
            estimates.user_ratio(values, np.ones(3), np.zeros(3, int)),
            estimates.user_auc(values, values, np.zeros(3, int), np.zeros(3, int)),
        ):
            assert one.value in (pytest.approx(2 / 3), 0.5)
            assert math.isnan(one.error)

    def test_no_figure_where_nothing_was_hit(self):
        zero, users = np.zeros(3), np.arange(3)
        assert math.isnan(estimates.user_ratio(zero, zero, users).value)
        assert math.isnan(estimates.user_auc(zero, zero[:0], users, users[:0]).value)
        assert math.isnan(estimates.user_mean(zero[:0], users[:0]).value)
        assert math.isnan(estimates.sample_mean(zero[:0], 5).value)


def test_area_is_that_of_all_comparisons():
    random = np.random.default_rng(3)
    positive, negative = random.normal(0.3, 1, 60).round(1), random.normal(size=50).round(1)
    won = [1.0 if p > n else 0.5 if p == n else 0.0 for p in positive for n in negative]
    found = estimates.user_auc(positive, negative, np.arange(60), np.arange(50))
    assert found.value == pytest.approx(np.mean(won), abs=1e-12)
    assert found.value == pair_auc(positive, negative)


class TestCosines:
    def test_of_concatenated_parts_are_those_of_the_whole(self, monkeypatch):
        random = np.random.default_rng(4)
        first, second = random.normal(size=(20, 3)), random.normal(size=(20, 5))
        whole = np.hstack([first, second])
        left, right = random.integers(0, 20, (2, 70))
        means = [first.mean(axis=0), second.mean(axis=0)]
        monkeypatch.setattr(estimates, "_BLOCK_ELEMENTS", 40)
        found = estimates.centred_cosines([(first.__getitem__, means[0]), (second.__getitem__, means[1])], left, right)
        centred = whole - np.concatenate(means)
        for a, b, cosine in zip(centred[left], centred[right], found, strict=True):
            assert cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-6)

    def test_of_nothing_is_0(self):
        x = np.zeros((2, 2))
        assert estimates.centred_cosines([(x.__getitem__, x[0])], np.array([0]), np.array([1])).tolist() == [0.0]
