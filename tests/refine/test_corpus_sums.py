"""Exact sums over a catalogue: the same for any tasks, and what a plain loop adds up."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drq_spark.refine.corpus_sums import SUMS, CorpusSums, Question, Steps, adder, merged
from drq_spark.tokenizer import Tokenizer

RNG = np.random.default_rng(0)
SIZES = (5, 3, 4)
TOKENIZER = Tokenizer(
    "t", 6, "none", tuple(RNG.normal(size=(size, 6)).astype(np.float32) for size in SIZES), latent_rms=(1.0,) * 3
)
ITEMS = RNG.normal(size=(300, 6)).astype(np.float32)


class Here:
    """A value that needs no shipping."""

    def __init__(self, question):
        self.value = lambda: question


def batch(x):
    return pa.record_batch({"embedding": pa.array(x.tolist(), pa.list_(pa.float32()))})


def summed(parts, steps, tokenizer=TOKENIZER):
    """The sums of tasks, each a list of arrays."""
    work = adder(Here(Question(tokenizer, steps)))
    rows = [row for task in parts for row in work(iter([batch(x) for x in task]))]
    return CorpusSums.of(pa.Table.from_batches(merged(iter(rows)), SUMS), tokenizer.codebook_sizes, 6, steps)


STEPS = Steps.of(float(np.abs(ITEMS).max()), 6, len(ITEMS))


def test_they_are_what_a_loop_adds_up():
    found = summed([[ITEMS]], STEPS)
    codes = TOKENIZER.encode_prepared(ITEMS)[1].codes
    assert (found.items, found.too_far) == (300, 0)
    assert found.square == pytest.approx(sum(float(x.astype(np.float64) @ x) for x in ITEMS), rel=1e-12)
    for level, size in enumerate(SIZES):
        for code in range(size):
            mine = ITEMS[codes[:, level] == code].astype(np.float64)
            assert found.counts[level][code] == len(mine)
            np.testing.assert_allclose(found.latent[level][code], mine.sum(axis=0), atol=1e-10)
    for (a, b), (keys, counts) in zip(combinations(range(3), 2), found.pairs, strict=True):
        told = {(int(key) // SIZES[b], int(key) % SIZES[b]): int(n) for key, n in zip(keys, counts, strict=True)}
        plain = {}
        for row in codes.tolist():
            plain[row[a], row[b]] = plain.get((row[a], row[b]), 0) + 1
        assert told == plain


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 99))
def test_they_are_the_same_to_the_bit_for_any_tasks_and_batches(tasks, batches, seed):
    order = np.random.default_rng(seed).permutation(len(ITEMS))
    parts = [np.array_split(task, batches) for task in np.array_split(ITEMS[order], tasks)]
    found, whole = summed(parts, STEPS), summed([[ITEMS]], STEPS)
    assert found.square == whole.square
    for name in ("counts", "latent", "pairs"):
        for mine, theirs in zip(getattr(found, name), getattr(whole, name), strict=True):
            np.testing.assert_array_equal(np.array(mine), np.array(theirs))


def test_a_task_without_items_and_rows_without_a_usable_embedding_add_nothing():
    bad = pa.record_batch({"embedding": pa.array([None, [1.0], [float("nan")] * 6], pa.list_(pa.float32()))})
    rows = list(adder(Here(Question(TOKENIZER, STEPS)))(iter([bad])))
    rows += list(adder(Here(Question(TOKENIZER, STEPS)))(iter([])))
    found = CorpusSums.of(pa.Table.from_batches(merged(iter(rows)), SUMS), SIZES, 6, STEPS)
    assert (found.items, found.too_far, found.square) == (0, 0, 0.0)
    assert not any(count.any() for count in found.counts)


def test_an_item_far_beyond_the_sample_is_left_out_and_counted():
    far = np.full((2, 6), 1e9, np.float32)
    found = summed([[ITEMS], [far]], STEPS)
    assert (found.items, found.too_far) == (300, 2)
    assert found.square == summed([[ITEMS]], STEPS).square


@pytest.mark.parametrize("items", [1, 1000, 10**11])
@pytest.mark.parametrize("largest", [0.0, 1e-12, 1.0, 1e15])
def test_no_sum_overflows(items, largest):
    steps = Steps.of(largest, 768, items)
    if largest:
        assert steps.largest / steps.latent * items < 2**63
        assert 768 * steps.largest**2 / steps.square * items < 2**63
        assert steps.latent * items < largest * 1e-5 * max(1, items) * 768
