"""Synthetic items: what each is like, whatever it is made together with."""

from __future__ import annotations

import numpy as np
import pytest

from drq_spark.synth.likeness import Likeness, Shape

REAL = np.random.default_rng(0).normal(size=(60, 12)).astype(np.float32) * 3


@pytest.fixture(scope="module")
def likeness():
    return Likeness.of(REAL, neighbours=5)


def test_neighbours_are_the_nearest_other_items(likeness):
    for row, x in enumerate(REAL):
        far = [np.sqrt(((x - y) ** 2).sum()) for y in REAL]
        nearest = sorted(set(range(len(REAL))) - {row}, key=lambda other: far[other])[:5]
        assert likeness.neighbours[row].tolist() == nearest
        assert likeness.spread[row] == pytest.approx(far[nearest[-1]], rel=1e-4)


@pytest.mark.parametrize("copies", [0.0, 0.3])
def test_an_item_is_the_same_in_any_company(likeness, copies):
    shape = Shape(1000, 10, near_duplicates=copies, seed=3)
    whole = likeness.embeddings(np.arange(1000), shape)
    parts = np.random.default_rng(1).permutation(1000)
    alone = np.concatenate([likeness.embeddings(part, shape) for part in np.array_split(parts, 7)])
    np.testing.assert_array_equal(alone, whole[parts])
    other = likeness.embeddings(np.arange(1000), Shape(1000, 10, near_duplicates=copies, seed=4))
    assert (other != whole).any(axis=1).all()


def test_items_lie_in_the_neighbourhood_of_theirs_and_have_its_norm(likeness):
    shape = Shape(3000, 10, near_duplicates=0.0)
    numbers = np.arange(3000)
    x, parent = likeness.embeddings(numbers, shape), REAL[numbers % 60]
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), np.linalg.norm(parent, axis=1), rtol=1e-5)
    assert len(np.unique(x, axis=0)) == 3000
    away = np.linalg.norm(x - parent, axis=1) / likeness.spread[numbers % 60]
    assert 0.1 < away.mean() < 0.6
    assert away.max() < 1.2


def test_as_many_copies_as_asked_for_and_half_of_them_exact(likeness):
    shape = Shape(20_000, 10, near_duplicates=0.2)
    x = likeness.embeddings(np.arange(20_000), shape)
    exact = 1 - len(np.unique(x, axis=0)) / len(x)
    assert exact == pytest.approx(0.1, abs=0.02)
    near = [x[row + 60 :: 60] - x[row] for row in range(60)]  # siblings, of which every tenth is a near copy
    closest = np.concatenate(
        [np.linalg.norm(rows, axis=1) / spread for rows, spread in zip(near, likeness.spread, strict=False)]
    )
    assert (closest < 0.02).any()
    assert ((closest > 0) & (closest < 0.02)).any()


def test_an_item_of_norm_zero_has_children_of_norm_zero():
    real = np.concatenate([np.zeros((1, 4), np.float32), np.eye(4, dtype=np.float32)])
    made = Likeness.of(real, 2).embeddings(np.arange(0, 50, 5), Shape(50, 1, near_duplicates=0.0))
    assert not made.any()
