"""The area under the curve against its definition and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from drq_spark.formulas.estimates import pair_auc

SCORES = st.lists(st.sampled_from([-1.0, -0.25, 0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=15).map(np.array)
TIMELESS = settings(deadline=None)


@TIMELESS
@given(SCORES, SCORES)
def test_is_the_share_of_comparisons_won(positive: np.ndarray, negative: np.ndarray) -> None:
    won = sum(1.0 if p > n else 0.5 if p == n else 0.0 for p in positive for n in negative)
    assert pair_auc(positive, negative) == pytest.approx(won / (len(positive) * len(negative)), abs=1e-12)
    assert pair_auc(negative, positive) == pytest.approx(1 - pair_auc(positive, negative), abs=1e-12)


def test_is_the_statistic_of_mann_and_whitney() -> None:
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(0.4, 1, 300).round(1), rng.normal(size=200).round(1)
    expected = mannwhitneyu(positive, negative).statistic / (300 * 200)
    assert pair_auc(positive, negative) == pytest.approx(expected, rel=1e-12)


def test_two_bells() -> None:
    """Bells of unit width d apart: Phi(d / sqrt 2)."""
    rng = np.random.default_rng(1)
    expected = 0.5 * (1 + math.erf(1.0 / 2))
    assert pair_auc(rng.normal(1, 1, 200_000), rng.normal(0, 1, 200_000)) == pytest.approx(expected, abs=0.003)


def test_without_scores_there_is_none() -> None:
    assert math.isnan(pair_auc(np.array([]), np.ones(3)))
    assert math.isnan(pair_auc(np.ones(3), np.array([])))
