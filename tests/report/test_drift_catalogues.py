"""Catalogues that are made to drift, or not to: trained, encoded and measured by the real code, without Spark."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from train.habits import sample_of

from drq_spark.arrays import F32
from drq_spark.assign.differences import Differences, refuse_upheaval
from drq_spark.config import load_config
from drq_spark.errors import InputRefused
from drq_spark.formulas.usage import LevelUsage
from drq_spark.measure.drift import drift
from drq_spark.measure.figures import _drift, _unseen
from drq_spark.measure.item_sample import ItemSample
from drq_spark.report.advice.advise import Rule, advice
from drq_spark.tokenizer import Tokenizer
from drq_spark.train.driver import train_tokenizer

DIM, KINDS, CODES, LEVELS = 12, 24, 16, 2
CENTRES = np.random.default_rng(1).normal(size=(2 * KINDS, DIM)) * np.linspace(2.0, 0.5, DIM)
SEVERAL_KINDS = range(KINDS)


def items(seed: int, count: int, kinds: range = SEVERAL_KINDS, shift: float = 0.0) -> F32:
    """Items about centres, those of the first `KINDS` being what the tokenizer has seen; shift moves them all apart."""
    random = np.random.default_rng(seed)
    away = np.random.default_rng(2).normal(size=(2 * KINDS, DIM))
    kind = random.choice(kinds, count)
    return np.float32(CENTRES[kind] + shift * away[kind] + 0.4 * random.normal(size=(count, DIM)))


@cache
def trained() -> Tokenizer:
    """The tokenizer of the first night."""
    options = {"tokenizer.name": "rq_kmeans", "tokenizer.codes": CODES, "tokenizer.levels": LEVELS, "train.threads": 1}
    return train_tokenizer(sample_of(items(0, 4000)), load_config(options=options))


def advised(new: F32, before: F32) -> list[tuple[int, ...]]:
    """Levels of the advice to retrain, after a night that adds items to those before."""
    tokenizer = trained()
    everything = np.concatenate([before, new])
    fresh, whole = (ItemSample(tokenizer.encode(x).codes, x, whole=True) for x in (new, everything))
    use = [[np.bincount(codes, minlength=CODES) for codes in tokenizer.encode(x).codes.T] for x in (before, everything)]
    used = _drift(use[0], [LevelUsage(counts, None) for counts in use[1]])
    figures = [*drift(fresh, whole, tokenizer), *_unseen(tokenizer), *used]
    return [entry.levels for entry in advice(figures, (CODES,) * LEVELS, 0.5) if entry.rule is Rule.DRIFTED]


@pytest.mark.parametrize("seed", range(3))
def test_new_items_of_the_same_kinds_are_no_drift(seed):
    assert advised(items(10 + seed, 200), items(0, 4000)) == []


def test_a_slow_drift_is_told_when_new_items_cost_clearly_more_and_not_before():
    told = [advised(items(20, 400, shift=shift), items(0, 4000)) for shift in (0.0, 0.05, 0.1, 0.3, 0.6, 1.0)]
    first = told.index([()])
    assert told == [[]] * first + [[()]] * (len(told) - first)
    assert 2 <= first <= 4


def test_kinds_that_the_training_has_not_seen_are_told():
    assert advised(items(30, 200, range(KINDS, 2 * KINDS)), items(0, 4000)) == [()]


def test_a_few_items_of_another_kind_are_too_few_to_tell():
    for count in (1, 2, 10):
        assert advised(items(31, count, range(KINDS, KINDS + 2)), items(0, 4000)) == []


def test_a_catalogue_that_grows_in_one_corner_is_told_by_the_use_of_its_codes():
    """The new items are of a kind that was seen, so that none of them costs more than it should."""
    [levels] = advised(items(40, 4000, range(1)), items(0, 4000))
    assert 1 in levels


def test_all_items_moved_at_once_is_another_embedding_model():
    """No night is made of it: every known item has another embedding, and none would keep its SID."""
    before = items(0, 1000)
    turned, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(DIM, DIM)))
    after = np.float32(before @ turned)
    changed = int((before != after).any(axis=1).sum())
    with pytest.raises(InputRefused, match=r"1,000 of 1,000 known items.*the embedding model has changed, drq nightly"):
        refuse_upheaval(Differences(None, len(before), changed, changed, 0), load_config())
    assert (trained().encode(before).codes == trained().encode(after).codes).all(axis=1).mean() < 0.1
    assert advised(after, before)  # and where max_changed lets it through, its report says so
