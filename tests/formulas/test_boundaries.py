"""Overlap as what it stands for: the chance that a blurred codeword is taken for another one, played out.

The reference throws noise and chooses codes by their definition, ||W (r - c)||^2 + b: it has no formula of a boundary.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drq_spark.formulas.overlap import codeword_overlap, expected_overlaps, overlap_matrix

DRAWS = 40_000
BOOK = np.array([[0.0, 0.0, 0.0], [1.0, 0.2, 0.5], [0.3, -0.8, 2.0], [0.1, 0.1, -1.0]], np.float32)
COUNTS = np.array([4, 3, 2, 1])
WEIGHT = np.array([1.0, 0.5, 2.0], np.float32)
PRICE = np.array([0.0, 0.4, -0.3, 0.2], np.float32)


def taken_for_each_other(i: int, j: int, sigma: float, weight: np.ndarray, price: np.ndarray) -> float:
    """Chance that codeword i, shaken by sigma in the metric of W, is nearer to j, plus that of j to i."""
    noise = np.random.default_rng(17 * i + j).normal(size=(DRAWS, BOOK.shape[1])) * sigma
    chance = 0.0
    for own, other in ((i, j), (j, i)):
        r = BOOK[own] + noise / weight
        cost = {code: np.square((r - BOOK[code]) * weight).sum(axis=1) + price[code] for code in (own, other)}
        chance += float((cost[other] < cost[own]).mean())
    return chance


def played_out(sigma: float, weight: np.ndarray, price: np.ndarray) -> float:
    shares, total = COUNTS / COUNTS.sum(), 0.0
    for i, first in enumerate(shares):
        for j, second in enumerate(shares):
            total += first * second * (1.0 if i == j else taken_for_each_other(i, j, sigma, weight, price))
    return total


@pytest.mark.parametrize("sigma", [0.2, 0.6, 1.5])
@pytest.mark.parametrize("weight", [np.ones(3, np.float32), WEIGHT], ids=["plain", "weighed"])
@pytest.mark.parametrize("price", [None, PRICE], ids=["free", "priced"])
def test_expected_overlap_is_the_chance_of_a_mistake(sigma, weight, price):
    found = expected_overlaps([COUNTS], BOOK, [sigma], weight, price)[0, 0]
    expected = played_out(sigma, weight, np.zeros(4) if price is None else price)
    assert found == pytest.approx(expected, abs=4 * np.sqrt(0.25 / DRAWS))


@pytest.mark.parametrize("factor", [1e-3, 0.5, 8.0])
@pytest.mark.parametrize("price", [None, PRICE], ids=["free", "priced"])
def test_multiplying_the_weights_changes_no_figure(factor, price):
    """sigma is taken from W z, so that it grows with W; prices are squared distances."""
    sigmas = np.array([0.0, 0.3, 1.0])
    scaled = None if price is None else price.astype(np.float64) * factor**2
    found = expected_overlaps([COUNTS], BOOK, (sigmas * factor).tolist(), WEIGHT * np.float64(factor), scaled)
    np.testing.assert_allclose(found, expected_overlaps([COUNTS], BOOK, sigmas.tolist(), WEIGHT, price), rtol=1e-6)
    distance, overlap = overlap_matrix(BOOK, 0.3, WEIGHT)
    scaled_distance, scaled_overlap = overlap_matrix(BOOK, 0.3 * factor, WEIGHT * np.float64(factor))
    np.testing.assert_allclose(scaled_distance, distance * factor, rtol=1e-6)
    np.testing.assert_allclose(scaled_overlap, overlap, rtol=1e-6)


def test_coordinates_of_weight_0_tell_nothing_apart():
    weight = np.array([1.0, 1.0, 0.0], np.float32)
    book = np.array([[0, 0, 0], [0, 0, 9], [4, 0, 0]], np.float32)
    assert expected_overlaps([np.array([1, 1, 2])], book, [1e-3], weight)[0, 0] == pytest.approx(0.5)


@settings(deadline=None)
@given(st.floats(0.01, 5), st.floats(-30, 30), st.floats(0, 3))
def test_prices_never_make_two_codewords_easier_to_tell_apart(distance, gap, sigma):
    priced = codeword_overlap([distance], sigma, [gap])[0]
    assert codeword_overlap([distance], sigma)[0] - 1e-15 <= priced <= 1 + 1e-12
    assert codeword_overlap([distance], sigma, [-gap])[0] == pytest.approx(priced, abs=1e-15)


def test_a_codeword_in_the_cell_of_another_is_always_taken_for_it():
    assert codeword_overlap([2.0], 0.0, [5.0])[0] == 1.0  # the gap is more than the squared distance
    assert codeword_overlap([2.0], 0.0, [3.0])[0] == 0.0
    assert codeword_overlap([0.0, 0.0], 0.0, [3.0, 0.0]).tolist() == [1.0, 1.0]


def test_twins_of_different_prices_count_as_one():
    book, price = np.array([[0.0], [0.0], [8.0]], np.float32), np.array([0.0, 1.0, 0.0], np.float32)
    assert expected_overlaps([np.array([1, 1, 2])], book, [0.1], None, price)[0, 0] == pytest.approx(0.5)
