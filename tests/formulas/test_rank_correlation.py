"""Rank correlation against scipy's own, and its interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from drq_spark.formulas.rank_correlation import rank_correlation, spearman


@pytest.mark.parametrize("seed", range(5))
def test_it_is_spearmans(seed: int) -> None:
    random = np.random.default_rng(seed)
    first, second = random.integers(6, size=20).astype(float), random.normal(size=20)
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)


def test_a_constant_figure_tells_nothing() -> None:
    assert np.isnan(spearman(np.ones(5), np.arange(5.0)))


def test_the_interval_holds_what_goes_together_and_is_wide_for_chance() -> None:
    random = np.random.default_rng(0)
    first = random.normal(size=40)
    together = rank_correlation(first, first + 0.1 * random.normal(size=40), np.arange(40))
    chance = rank_correlation(first, random.normal(size=40), np.arange(40))
    assert together.low > 0.8
    assert together.low <= together.value <= together.high
    assert chance.low < 0 < chance.high


def test_groups_are_what_is_drawn_anew() -> None:
    # five copies of each of six things: no more is known than of six
    first, second = np.arange(6.0), np.array([0.0, 2.0, 1.0, 4.0, 3.0, 5.0])
    alone = rank_correlation(first, second, np.arange(6))
    copies = rank_correlation(np.repeat(first, 5), np.repeat(second, 5), np.repeat(np.arange(6), 5))
    assert copies == pytest.approx(alone)


@pytest.mark.parametrize("groups", [1, 3])
def test_few_groups_have_no_interval(groups: int) -> None:
    found = rank_correlation(np.arange(6.0), np.arange(6.0), np.arange(6) % groups)
    assert found.value == pytest.approx(1.0)
    assert np.isnan(found.low)
    assert np.isnan(found.high)
