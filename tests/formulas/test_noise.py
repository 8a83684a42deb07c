"""Noise from keys: the distribution, and that a row knows nothing of the others."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from drq_spark.formulas.noise import isotropic, standard_normals, uniforms

KEYS = np.arange(40_000, dtype=np.uint64)  # neighbours on purpose: the worst keys for a weak hash
MASK = 2**64 - 1


def slow_uniform(key: int, column: int, stream: int) -> float:
    """The definition in Python integers."""

    def mix(state: int) -> int:
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & MASK
        return state ^ (state >> 31)

    golden = 0x9E3779B97F4A7C15
    state = mix(mix((stream + golden) & MASK) ^ key)
    return ((mix((state + (column + 1) * golden) & MASK) >> 11) + 0.5) / 2.0**53


def test_uniforms_are_splitmix64():
    keys = [0, 1, 2**63, MASK]
    found = uniforms(np.array(keys, np.uint64), 3, 5)
    assert found.tolist() == [[slow_uniform(key, column, 5) for column in range(3)] for key in keys]


@pytest.mark.parametrize("stream", [0, 1])
def test_normals_are_normal_and_independent(stream: int):
    rows = standard_normals(KEYS, 5, stream)
    assert kstest(rows.ravel(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(rows.T) - np.eye(5)).max() < 4 / np.sqrt(len(KEYS))
    assert abs(np.corrcoef(rows[1:, 0], rows[:-1, 0])[0, 1]) < 4 / np.sqrt(len(KEYS))
    squares = np.square(rows)  # Box-Muller pairs share a radius: their squares must not be related
    assert np.abs(np.corrcoef(squares.T) - np.eye(5)).max() < 4 / np.sqrt(len(KEYS))


def test_streams_differ():
    first, second = (standard_normals(KEYS, 1, stream)[:, 0] for stream in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(len(KEYS))


@pytest.mark.parametrize("dim", [1, 2, 5, 768])
def test_a_row_depends_on_its_own_key_alone(dim: int):
    whole, directions = standard_normals(KEYS[:70], dim, 3), isotropic(KEYS[:70], dim)
    assert whole.shape == (70, dim)
    for rows in (slice(0, 1), slice(69, 70), slice(7, 40)):
        np.testing.assert_array_equal(standard_normals(KEYS[rows], dim, 3), whole[rows])
        np.testing.assert_array_equal(isotropic(KEYS[rows], dim), directions[rows])
    np.testing.assert_array_equal(standard_normals(KEYS[:70], dim + 3, 3)[:, :dim], whole)


def test_directions_are_unit_and_without_preference():
    rows = isotropic(KEYS, 3)
    np.testing.assert_allclose(np.square(rows).sum(axis=1), 1)
    assert kstest(rows[:, 0], "uniform", args=(-1, 2)).pvalue > 1e-3  # Archimedes: a coordinate of the sphere in R^3


def test_no_rows():
    assert standard_normals(KEYS[:0], 4, 0).shape == isotropic(KEYS[:0], 4).shape == (0, 4)
