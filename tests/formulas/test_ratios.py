"""Standard errors of a ratio: the same deviations under each of the three ways of drawing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drq_spark.formulas.ratios import clustered_standard_error, ratio_standard_error, sample_standard_error

HITS = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])
N, SHARE = 8, 5 / 8
VARIANCE = SHARE * (1 - SHARE)


def test_of_a_share_it_is_the_textbook_binomial_error_but_for_the_factor_of_the_way_of_drawing():
    items = ratio_standard_error(N, N, HITS.sum(), N, HITS.sum())
    users = clustered_standard_error((HITS - SHARE) / N, np.arange(N))
    sample = sample_standard_error(HITS, np.ones(N))
    assert items == pytest.approx(math.sqrt(VARIANCE / (N - 1)))
    assert users == pytest.approx(math.sqrt(VARIANCE / (N - 1)))
    assert sample == pytest.approx(math.sqrt(VARIANCE / N))


def test_pairs_of_one_user_are_one_draw():
    every_pair_twice = clustered_standard_error(np.repeat((HITS - SHARE) / (2 * N), 2), np.repeat(np.arange(N), 2))
    assert every_pair_twice == pytest.approx(math.sqrt(VARIANCE / (N - 1)))
    assert math.isnan(clustered_standard_error(HITS - SHARE, np.zeros(N, int)))


def test_the_error_of_a_ratio_is_that_of_the_deviations_from_it():
    part, whole = np.array([2.0, 1.0, 4.0]), np.array([4.0, 4.0, 6.0])  # R = 1/2, deviations 0, -1, 1
    assert sample_standard_error(part, whole) == pytest.approx(math.sqrt(2) / 14)
