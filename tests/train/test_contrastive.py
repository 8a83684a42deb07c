"""InfoNCE against a slow loop over pairs, and the batches of pairs."""

from __future__ import annotations

import math
from itertools import chain, islice

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from drq_spark.arrays import I64
from drq_spark.config.train import Contrast
from drq_spark.train.contrastive import PairBatch, PairLoss, Pairs, info_nce
from drq_spark.train.runtime import random_stream


def line(pairs: int) -> I64:
    """Pairs (0, 1), (1, 2), .., int64 [pairs, 2]."""
    return np.stack([np.arange(pairs), np.arange(1, pairs + 1)], axis=1)


def taken(pairs: Pairs, count: int, seed: int = 0) -> list[list[tuple[int, int]]]:
    """The first batches as lists of pairs."""
    batches = islice(pairs.batches(random_stream(seed, 5)), count)
    return [list(zip(batch.left.tolist(), batch.right.tolist(), strict=True)) for batch in batches]


def slow_loss(left: NDArray[np.float64], right: NDArray[np.float64], items: I64, log_share: I64, tau: float) -> float:
    """The definition, pair by pair and in both directions."""
    total = 0.0
    for anchors, others, partner in ((left, right, items[:, 1]), (right, left, items[:, 0])):
        for i, anchor in enumerate(anchors):
            weights = {}
            for j, other in enumerate(others):
                if j == i or partner[j] != partner[i]:
                    score = sum(a * b for a, b in zip(anchor, other, strict=True)) / tau
                    weights[j] = math.exp(score - log_share[partner[j]])
            total -= math.log(weights[i] / sum(weights.values()))
    return total / (2 * len(items))


@pytest.mark.parametrize("tau", [0.01, 0.1, 1.0])
def test_loss_is_that_of_a_loop_over_pairs(tau: float) -> None:
    """Eight pairs of five items: partners come again, as false negatives that must not count."""
    rng = np.random.default_rng(0)
    items, log_share, vectors = rng.integers(0, 5, (8, 2)), np.log(rng.random(5)), rng.normal(size=(5, 3))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    batch = PairBatch(*torch.from_numpy(items.T.copy()))
    loss = info_nce(torch.from_numpy(unit), batch, torch.from_numpy(log_share), tau)
    expected = slow_loss(unit[items[:, 0]], unit[items[:, 1]], items, log_share, tau)
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_vectors_that_say_nothing_lose_the_logarithm_of_the_batch() -> None:
    batch = PairBatch(torch.arange(6), torch.arange(6, 12))
    assert float(info_nce(torch.ones(12, 1), batch, torch.zeros(12), 0.1)) == pytest.approx(math.log(6), rel=1e-6)


def test_a_batch_has_every_item_once() -> None:
    """And its loss is that of the directions of its pairs."""
    rng = np.random.default_rng(0)
    rows, pairs = rng.normal(size=(9, 3)), rng.integers(0, 9, (40, 2))
    settings = Contrast(batch_size=30)
    drawn = PairLoss(rows, pairs, settings, random_stream(0, 5), torch.device("cpu")).next()
    all_pairs = Pairs(pairs, 9, 30, settings.steps)
    batch = next(all_pairs.batches(random_stream(0, 5)))
    items = torch.stack([batch.left, batch.right], dim=1).numpy()
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = slow_loss(unit[items[:, 0]], unit[items[:, 1]], items, 0.5 * all_pairs.log_share.numpy(), 0.1)
    assert np.array_equal(drawn.rows, rows[np.unique(items)])
    assert float(drawn.loss(2 * drawn.rows)) == pytest.approx(expected, rel=1e-6)


def test_popular_items_are_weaker_negatives() -> None:
    """Item 2 has half of the ends: its logit gets -ln(1/2), the others -ln(1/4)."""
    pairs = Pairs(np.array([[0, 2], [1, 2]]), items=4, batch_size=10, steps=5)
    assert pairs.log_share.tolist() == pytest.approx([math.log(1 / 4), math.log(1 / 4), math.log(1 / 2), 0.0])
    assert pairs.batch_size == 2


def test_a_single_pair_has_nothing_to_lose() -> None:
    vector = torch.ones(1, 2, requires_grad=True)
    both = vector.expand(2, 2)
    loss = info_nce(both, PairBatch(torch.tensor([0]), torch.tensor([1])), torch.zeros(2), 0.1)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert vector.grad is not None
    assert torch.isfinite(vector.grad).all()


def test_every_pass_has_every_pair_once_in_a_new_order() -> None:
    batches = taken(Pairs(line(12), 13, 4, steps=6), 6)
    first, second = (list(chain.from_iterable(part)) for part in (batches[:3], batches[3:]))
    assert sorted(first) == sorted(second) == [tuple(pair) for pair in line(12)]
    assert first != second
    assert taken(Pairs(line(12), 13, 4, steps=6), 6) == batches
    assert taken(Pairs(line(12), 13, 4, steps=6), 6, seed=1) != batches


def test_an_incomplete_batch_is_left_out() -> None:
    assert [len(set(batch)) for batch in taken(Pairs(line(11), 12, 4, steps=4), 4)] == [4, 4, 4, 4]


@pytest.mark.parametrize("count", [1, 3])
def test_fewer_pairs_than_a_batch(count: int) -> None:
    pairs = Pairs(line(count), count + 1, batch_size=1024, steps=1000)
    assert pairs.steps == 8
    assert [sorted(batch) for batch in taken(pairs, 2)] == [[tuple(pair) for pair in line(count)]] * 2


@pytest.mark.parametrize(
    ("count", "batch_size", "steps"),
    [
        (1_000_000, 1024, 1200),  # enough of them: as wanted
        (150_000, 1000, 1200),  # just enough for 1,200 steps of 1,000 pairs in 8 passes
        (30_000, 200, 1200),  # smaller batches give as many steps
        (1_000, 128, 56),  # not smaller than that: 7 batches a pass, 8 passes
        (130, 128, 8),
    ],
)
def test_few_pairs_make_small_batches(count: int, batch_size: int, steps: int) -> None:
    pairs = Pairs(line(count), count + 1, batch_size=1024, steps=1200)
    assert (pairs.batch_size, pairs.steps) == (batch_size, steps)


def test_batches_are_never_larger_than_wanted() -> None:
    pairs = Pairs(line(1000), 1001, batch_size=99, steps=1200)
    assert (pairs.batch_size, pairs.steps) == (99, 80)
    assert Pairs(line(1000), 1001, batch_size=99, steps=7).steps == 7
