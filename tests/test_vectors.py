"""Directions, angles and sums of codewords, by hand and by another library."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from scipy.spatial.distance import cosine

from drq_spark import vectors
from drq_spark.vectors import codeword_sum, row_cosines, unit_rows


def test_the_examples_of_the_docstrings() -> None:
    found = doctest.testmod(vectors)
    assert (found.attempted, found.failed) == (4, 0)


def test_a_sid_is_the_sum_of_its_codewords() -> None:
    rng = np.random.default_rng(4)
    books = [rng.normal(size=(size, 3)).astype(np.float32) for size in (4, 2)]
    codes = np.array([[3, 1], [0, 0], [3, 0]])
    expected = [books[0][i].astype(np.float64) + books[1][j] for i, j in codes]
    np.testing.assert_array_equal(codeword_sum(books, codes), expected)


def test_rows_of_any_length_become_unit_rows_and_stay_as_they_were() -> None:
    x = np.random.default_rng(0).normal(size=(50, 7)) * np.logspace(-100, 100, 50)[:, None]
    kept = x.copy()
    assert np.linalg.norm(unit_rows(x), axis=1) == pytest.approx(1, rel=1e-12)
    assert np.array_equal(x, kept)


def test_cosines_are_those_of_scipy() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 30, 5))
    assert row_cosines(a, b) == pytest.approx([1 - cosine(x, y) for x, y in zip(a, b, strict=True)], abs=1e-12)
