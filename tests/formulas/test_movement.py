"""RMS displacement per effective coordinate: known covariances, invariances, and its error by repetition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drq_spark.formulas.movement import movement

SCALES = np.array([3.0, 1.0, 1.0, 0.5])


def blocks(rows: np.ndarray, size: int = 100) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def slow_rms(rows: list[np.ndarray], weight: np.ndarray) -> float:
    trace, square, items = 0.0, 0.0, 0
    for block in rows:
        for i, delta in enumerate(block * weight):
            trace += float(delta @ delta)
            square += np.mean([float(delta @ other) ** 2 for j, other in enumerate(block * weight) if j != i])
            items += 1
    return math.sqrt((square / items) / (trace / items))


def test_against_loops():
    rows, weight = np.random.default_rng(1).normal(size=(23, 4)) * SCALES, np.array([1.0, 0.5, 0.0, 2.0])
    found = movement(blocks(rows, 8), [None, weight])
    assert found.rms == pytest.approx((slow_rms(blocks(rows, 8), np.ones(4)), slow_rms(blocks(rows, 8), weight)))


def test_rotations_and_coordinates_that_do_not_move_change_nothing():
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(300, 4)) * SCALES
    turned = rows @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    padded = np.concatenate([turned, np.zeros((300, 50))], axis=1)
    assert movement(blocks(padded), [None]).rms == pytest.approx(movement(blocks(rows), [None]).rms, rel=1e-12)


def test_a_shift_of_all_is_movement():
    assert movement([np.tile([3.0, 4.0], (10, 1))], [None]).rms == pytest.approx((5.0,))


def test_few_items_in_many_coordinates_are_not_biased():
    """The trace of the squared sample moment would be 1 + d / n times too high: here 11 times."""
    rows = np.random.default_rng(3).normal(size=(30, 300)) * 0.2
    assert movement([rows], [None]).rms == pytest.approx((0.2,), rel=0.05)


def test_the_claimed_error_is_that_of_repetition():
    rng, found = np.random.default_rng(4), []
    for _ in range(400):
        rows = rng.normal(size=(200, 4)) * SCALES * rng.uniform(0.5, 1.5, size=(200, 1))
        found.append(movement(blocks(rows), [None]))
    rms, error = np.array([one.rms[0] for one in found]), np.array([one.standard_error[0] for one in found])
    s = (1 + 1 / 12) * np.square(SCALES)  # E u^2 = 13 / 12
    assert rms.mean() == pytest.approx(math.sqrt(np.square(s).sum() / s.sum()), rel=0.02)
    assert np.sqrt(np.square(error).mean()) == pytest.approx(rms.std(ddof=1), rel=0.15)


def test_no_movement_one_item_and_none():
    assert movement([np.zeros((5, 3))], [None]).rms == (0.0,)
    one = movement([np.array([[3.0, 4.0]])], [None, np.array([1.0, 0.0])])
    assert (one.rms, one.standard_error) == ((5.0, 3.0), None)
    with pytest.raises(ValueError, match="no displacement"):
        movement([], [None])
