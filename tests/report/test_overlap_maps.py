"""Which codes are in a picture of overlaps, in which order, and the numbers in it, against slow references."""

from __future__ import annotations

from itertools import permutations
from math import erfc, sqrt

import numpy as np
import pytest

from drq_spark.report.overlap_maps import MOST, overlap_map


def slow_overlap(a, b, sigma, weight):
    """OVL of two codewords by its formula, in plain numbers."""
    apart = sqrt(sum(((x - y) * w) ** 2 for x, y, w in zip(a, b, weight, strict=True)))
    return erfc(apart / (2 * sqrt(2) * sigma))


@pytest.mark.parametrize("weight", [None, np.array([1.0, 0.5, 2.0], np.float32)], ids=["plain", "weighed"])
def test_the_matrix_is_that_of_the_most_used_codes(weight):
    rng = np.random.default_rng(0)
    book, counts = rng.normal(size=(130, 3)).astype(np.float32), rng.integers(0, 50, 130)
    counts[:5] = 0
    found = overlap_map(counts, book, 0.4, weight)
    chosen = sorted(range(130), key=lambda code: (-counts[code], code))[:MOST]
    assert found.shape == (MOST, MOST)
    w = np.ones(3) if weight is None else weight
    expected = [[slow_overlap(book[a], book[b], 0.4, w) for b in chosen] for a in chosen]
    assert np.allclose(np.sort(found.ravel()), np.sort(np.ravel(expected)), atol=1e-6)
    assert np.allclose(found, found.T)
    assert np.allclose(np.diag(found), 1)


def test_codes_of_a_group_lie_side_by_side():
    """Three heaps, their codes dealt in turn: in the picture each heap is one block."""
    rng = np.random.default_rng(1)
    heap = np.arange(30) % 3
    book = (np.eye(3)[heap] * 10 + rng.normal(size=(30, 3)) * 0.05).astype(np.float32)
    found = overlap_map(np.ones(30, np.int64), book, 1.0)
    near = found > 0.5
    blocks = np.kron(np.eye(3, dtype=bool), np.ones((10, 10), bool))
    assert (near == blocks).all()


def test_neighbours_are_turned_to_each_other():
    """Points on a line: of all orders that keep the tree, the one with the shortest way, which is the line itself."""
    places = np.array([5.0, 0.0, 2.9, 9.0, 1.0], np.float32)
    found = overlap_map(np.ones(5, np.int64), places[:, None], 2.0)
    line = np.sort(places)
    straight = [[slow_overlap([a], [b], 2.0, [1.0]) for b in line] for a in line]
    assert np.allclose(found, straight, atol=1e-6) or np.allclose(found[::-1, ::-1], straight, atol=1e-6)
    ways = [sum(abs(np.diff(order))) for order in permutations(places)]
    assert min(ways) == pytest.approx(9.0)


@pytest.mark.parametrize("used", [0, 1, 2])
def test_hardly_any_code_in_use(used):
    counts = np.array([3] * used + [0] * (5 - used))
    assert overlap_map(counts, np.arange(5, dtype=np.float32)[:, None], 0.5).shape == (used, used)
