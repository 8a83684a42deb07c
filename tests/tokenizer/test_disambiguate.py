"""Spreading against deferred acceptance item by item, and by hand."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tokenizer.samples import behaving, rows

from drq_spark.tokenizer.beam import Paths
from drq_spark.tokenizer.disambiguate import spread


def made(keys: NDArray[np.int64], cost: NDArray[np.float64]) -> Paths:
    """Paths of one level, their code being the key."""
    count = len(keys)
    none = np.zeros((count, 1))
    codes, margin, reach = keys[:, :, None].astype(np.int32), none.astype(np.float32), np.zeros(count)
    return Paths(codes, cost, margin, none, reach, np.zeros(1, np.int64))


def slow(keys: list[list[int]], cost: list[list[float]]) -> list[int]:
    """Items propose one after the other; the holder of a path is bumped by a better claim."""
    ranks = len(keys[0])
    claim = [[*(b - a for a, b in itertools.pairwise(row)), float("inf")] for row in cost]
    holder: dict[int, tuple[int, int]] = {}
    free = [(item, 0) for item in range(len(keys))]
    out = []
    while free:
        item, rank = free.pop()
        if rank == ranks:
            out.append(item)
            continue
        key = keys[item][rank]
        other = holder.get(key)
        if other is None or (-claim[item][rank], item) < (-claim[other[0]][other[1]], other[0]):
            holder[key] = (item, rank)
            item, rank = other if other else (-1, 0)
        if item >= 0:
            free.append((item, rank + 1))
    result = [row[0] for row in keys]
    for key, (item, _) in holder.items():
        result[item] = key
    return result


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**20), items=st.integers(1, 40), ranks=st.integers(1, 5), space=st.integers(5, 40))
def test_equals_deferred_acceptance(seed: int, items: int, ranks: int, space: int) -> None:
    rng = np.random.default_rng(seed)
    keys = np.stack([rng.permutation(space)[:ranks] for _ in range(items)]).astype(np.int64)
    cost = np.sort(rng.integers(0, 6, (items, ranks)), axis=1).astype(np.float64)
    assert spread(made(keys, cost), keys)[:, 0].tolist() == slow(keys.tolist(), cost.tolist())


def test_the_one_that_loses_most_stays() -> None:
    keys = np.array([[7, 1], [7, 2], [7, 3]])
    cost = np.array([[0.0, 1.0], [0.0, 5.0], [0.0, 2.0]])
    assert spread(made(keys, cost), keys)[:, 0].tolist() == [1, 7, 3]


def test_an_item_without_a_free_path_stays_where_it_was() -> None:
    keys = np.array([[4, 5], [4, 5], [4, 5]])
    cost = np.array([[0.0, 1.0]] * 3)
    assert spread(made(keys, cost), keys)[:, 0].tolist() == [4, 5, 4]


def test_of_a_tokenizer() -> None:
    tokenizer = behaving(sizes=(16, 12, 10))
    z = tokenizer.latent(rows(300, 4))
    paths = tokenizer.paths(z, 8)
    keys = np.stack([tokenizer.keys(paths.codes[:, rank]) for rank in range(8)], axis=1)
    before, after = (len(np.unique(tokenizer.keys(codes))) for codes in (paths.codes[:, 0], spread(paths, keys)))
    assert after > before
    unmoved = (spread(paths, keys) == paths.codes[:, 0]).all(axis=1)
    alone = np.isin(
        keys[:, 0], [key for key, n in zip(*np.unique(keys[:, 0], return_counts=True), strict=True) if n == 1]
    )
    assert unmoved[alone & ~np.isin(keys[:, 0], keys[:, 1:])].all()
