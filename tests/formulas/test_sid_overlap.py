"""The U-statistic of whole SIDs against loops over draws, and its claimed error against repetition."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from drq_spark.formulas import overlap
from drq_spark.formulas.sid_overlap import estimated_overlaps


def slow_distance(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> float:
    return math.dist((weight * a).tolist(), (weight * b).tolist())


def slow_kernel(points: np.ndarray, sigma: float, weight: np.ndarray | None = None) -> np.ndarray:
    """OVL of every pair of SIDs, 0 for equal ones."""
    weight = np.ones(points.shape[1]) if weight is None else weight
    table = np.zeros((len(points), len(points)))
    for i, j in permutations(range(len(points)), 2):
        apart = slow_distance(points[i], points[j], weight)
        table[i, j] = 1.0 if apart == 0 else math.erfc(apart / (2 * math.sqrt(2) * sigma)) if sigma else 0.0
    return table


def slow_estimate(kernel: np.ndarray, times: np.ndarray) -> tuple[float, float]:
    """U and the square of its error, by loops over different draws."""
    draws = np.repeat(np.arange(len(times)), times)
    h = kernel[np.ix_(draws, draws)]
    m = range(len(draws))
    mean = np.mean([h[i, j] for i, j in permutations(m, 2)])
    square = np.mean([h[i, j] * h[k, n] for i, j, k, n in permutations(m, 4)])
    first = max(np.mean([h[i, j] * h[i, k] for i, j, k in permutations(m, 3)]) - square, 0)
    second = max(np.mean([h[i, j] ** 2 for i, j in permutations(m, 2)]) - square, 0)
    size = len(draws)
    return float(mean), (4 * (size - 2) * first + 2 * second) / (size * (size - 1))


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(5, 3))


WEIGHT = np.array([1.0, 0.5, 0.0])


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_estimate_and_error_are_those_of_loops_over_draws(points, weight):
    times, sigmas = np.array([3, 1, 2, 1, 1]), [0.0, 0.05, 0.5, 3.0]
    found, errors = estimated_overlaps(points, times, sigmas, weight)
    for value, error, sigma in zip(found, errors, sigmas, strict=True):
        mean, variance = slow_estimate(slow_kernel(points, sigma, weight), times)
        assert value == pytest.approx(mean, rel=1e-9, abs=1e-18)
        assert error == pytest.approx(math.sqrt(variance), rel=1e-6, abs=1e-12)


def test_blocks_do_not_show(monkeypatch):
    rng = np.random.default_rng(5)
    points, times = rng.normal(size=(37, 6)), rng.integers(1, 9, 37)
    whole = estimated_overlaps(points, times, [0.3, 0.7], np.ones(6))
    monkeypatch.setattr(overlap, "_TILE_ELEMENTS", 30)  # 5 SIDs a block
    for found, expected in zip(estimated_overlaps(points, times, [0.3, 0.7]), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def population(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions and shares."""
    rng = np.random.default_rng(3)
    if kind == "clustered":
        return rng.normal(size=(60, 2)) * rng.choice([0.2, 3.0], size=(60, 1)), rng.dirichlet(np.ones(60))
    return np.eye(40) * 3, np.full(40, 1 / 40)  # every SID as far from all others: zeta_1 is 0


@pytest.mark.parametrize("kind", ["clustered", "even"])
def test_unbiased_and_the_claimed_error_is_that_of_repetition(kind):
    points, shares = population(kind)
    sigmas = [0.3, 1.0]
    exact = [float(shares @ slow_kernel(points, sigma) @ shares) for sigma in sigmas]
    rng, runs = np.random.default_rng(11), []
    for _ in range(600):
        times = rng.poisson(150 * shares)  # as `draws.draw_sids` draws
        drawn = times > 0
        runs.append(estimated_overlaps(points[drawn], times[drawn], sigmas))
    values, errors = np.array([run[0] for run in runs]), np.array([run[1] for run in runs])
    spread = values.std(axis=0, ddof=1)
    assert (np.abs(values.mean(axis=0) - exact) < 4 * spread / math.sqrt(len(runs))).all()
    claimed = np.sqrt(np.square(errors).mean(axis=0))
    if kind == "clustered":
        np.testing.assert_allclose(claimed, spread, rtol=0.15)
    else:  # zeta_1 cannot be estimated below 0: never too low, and not by much too high
        assert (claimed > 0.85 * spread).all()
        assert (claimed < 1.5 * spread).all()


def test_all_sids_at_one_place_overlap_fully():
    value, error = estimated_overlaps(np.zeros((3, 2)), np.array([2, 1, 1]), [0.0, 1.0])
    assert value.tolist() == pytest.approx([10 / 12, 10 / 12])  # 12 ordered pairs, 2 of them of equal SIDs
    assert np.isfinite(error).all()


def test_one_sid_has_no_pairs_and_few_draws_no_error():
    value, error = estimated_overlaps(np.zeros((1, 2)), np.array([7]), [1.0])
    assert (value.tolist(), error.tolist()) == ([0.0], [0.0])
    value, error = estimated_overlaps(np.zeros((2, 2)), np.array([2, 1]), [1.0])
    assert value == pytest.approx([4 / 6])
    assert np.isnan(error).all()
