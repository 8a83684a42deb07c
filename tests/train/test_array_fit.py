"""Training from arrays: events in every form give the pairs that a plain loop finds; the tokenizer is the driver's."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

import drq_spark
from drq_spark.config import Config, load_config
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.tokenizer.artifact import tokenizer_id
from drq_spark.train.array_events import behaviour_of, read_events
from drq_spark.train.driver import train_tokenizer

ITEMS, EVENTS = 30, 400
RNG = np.random.default_rng(5)
X = RNG.normal(size=(ITEMS, 4)).astype(np.float32)
KEY = RNG.permutation(ITEMS)
USER, ITEM, ORDER = RNG.integers(0, 25, EVENTS), RNG.integers(0, ITEMS, EVENTS), RNG.permutation(EVENTS)
QUICK = {"train.threads": 1, "sample.holdout": 0.1}


def config_of(**settings: Any) -> Config:
    return load_config(options={"events.path": "x", **{name.replace("__", "."): to for name, to in settings.items()}})


def pairs_of(events: Any, ids: Any = None, **settings: Any) -> Counter[tuple[int, int]]:
    """Pairs of rows of X with how often they come, training and held-out ones together."""
    config = config_of(**settings)
    found = behaviour_of(read_events(events, ITEMS, ids, config), X, KEY, config)
    rows = np.array([int(np.flatnonzero((vector == X).all(axis=1))[0]) for vector in found.x])
    assert (KEY[rows] == found.split_key).all()
    return Counter(map(tuple, rows[np.concatenate([found.pairs, found.held_out_pairs])].tolist()))


def by_a_loop(user: Any, item: Any, order: Any) -> Counter[tuple[int, int]]:
    """Pairs of different items that follow one another."""
    last: dict[Any, int] = {}
    found: Counter[tuple[int, int]] = Counter()
    for _, who, what in sorted(zip(order, user, item, strict=True)):
        if who in last and last[who] != what:
            found[last[who], int(what)] += 1
        last[who] = int(what)
    return found


def test_pairs_are_those_of_a_loop():
    expected = by_a_loop(USER, ITEM, ORDER)
    day = datetime(2024, 1, 1)
    times = [day + timedelta(minutes=int(place)) for place in ORDER]
    named = np.array([f"sku {row}" for row in range(ITEMS)])
    frame = pd.DataFrame({"who": USER, "what": named[ITEM], "when": times})
    assert pairs_of((USER, ITEM, ORDER)) == expected
    assert pairs_of((USER.astype(str), ITEM.tolist(), times)) == expected
    assert pairs_of({"user": USER, "item": ITEM, "time": ORDER / 7}) == expected
    assert pairs_of(frame, ids=named) == expected
    assert pairs_of(frame, ids=named.tolist()) == expected


def test_sequences_and_pairs():
    rows = [np.array([what for _, who, what in sorted(zip(ORDER, USER, ITEM, strict=True)) if who == one])
            for one in range(25)]  # fmt: skip
    assert pairs_of([row.tolist() for row in rows]) == pairs_of(rows) == by_a_loop(USER, ITEM, ORDER)
    pairs = np.stack([ITEM[:100], (ITEM[:100] + 1) % ITEMS], axis=1)
    assert pairs_of(pairs) == pairs_of(pairs.tolist()) == Counter(map(tuple, pairs.tolist()))


def test_unknown_items_are_passed_over_or_part():
    unknown = np.isin(ITEM, [3, 4, 5])
    names = [f"gone {row}" if row in (3, 4, 5) else row for row in range(ITEMS)]
    events = (USER, ITEM, ORDER)
    bridged = by_a_loop(USER[~unknown], ITEM[~unknown], ORDER[~unknown])
    parted = by_a_loop(USER, ITEM, ORDER)
    parted = Counter({pair: count for pair, count in parted.items() if not {3, 4, 5} & set(pair)})
    assert pairs_of(events, ids=names) == bridged
    assert pairs_of(events, ids=names, events__unknown="part") == parted != bridged


def test_ties_are_shuffled_or_part():
    user, item, order = [1, 1, 1, 2, 2], [0, 1, 2, 7, 8], [0, 5, 5, 3, 3]
    seeds = [pairs_of((user, item, order), seed=seed) for seed in range(20)]
    orders = {((0, 1), (1, 2)), ((0, 2), (2, 1))}
    assert {tuple(sorted(pair for pair in seed if pair[0] < 7 and pair[1] < 7)) for seed in seeds} == orders
    assert {pair for seed in seeds for pair in seed if pair[0] > 6} == {(7, 8), (8, 7)}
    assert sum(pairs_of((user, item, order), events__ties="part").values()) == 1


def test_events_without_user_or_order_are_left_out():
    whole = by_a_loop(USER[2:], ITEM[2:], ORDER[2:])
    user, order = USER.astype(object), ORDER.astype(float)
    user[0], order[1] = None, np.nan
    assert pairs_of((user, ITEM, order)) == whole


def test_users_are_held_out_whole():
    config = config_of(events__holdout=0.4)
    steps = (np.repeat(np.arange(15), 2), np.arange(ITEMS), np.arange(ITEMS))  # an item has one user
    found = behaviour_of(read_events(steps, ITEMS, None, config), X, KEY, config)
    assert (len(found.pairs), len(found.held_out_pairs)) == (9, 6)
    assert config_of(events__holdout=0).events.holdout == 0
    assert len(behaviour_of(read_events(steps, ITEMS, None, config_of(events__holdout=0)), X, KEY,
                            config_of(events__holdout=0)).held_out_pairs) == 0  # fmt: skip


def test_pairs_and_items_are_bounded():
    few = config_of(events__max_pairs=50, events__holdout=0.2)
    found = behaviour_of(read_events((USER, ITEM, ORDER), ITEMS, None, few), X, KEY, few)
    assert (len(found.pairs), len(found.held_out_pairs)) == (50, 10)
    small = config_of(sample__size=7)
    found = behaviour_of(read_events((USER, ITEM, ORDER), ITEMS, None, small), X, KEY, small)
    assert len(found.x) in (6, 7)


@pytest.mark.parametrize(
    ("events", "ids", "message"),
    [
        ((USER, ITEM), None, r"three columns of equal length.* not 2 columns of shapes \[\(400,\), \(400,\)\]"),
        ((USER, ITEM, ORDER[:9]), None, "three columns of equal length"),
        (np.stack([USER, ITEM, ORDER], axis=1), None, r"not an array of shape \(400, 3\)"),
        ([1, 2, 3], None, "not list"),
        ("events.parquet", None, "not str"),
        ((USER, ITEM + 1, ORDER), None, "item 30 is no row of x, which has 30: name the items with ids"),
        ((USER, ITEM - 1, ORDER), None, "item -1 is no row of x"),
        ((USER, ITEM.astype(str), ORDER), None, "not rows of x: name the items with ids"),
        ((USER, ITEM, ORDER.astype(str)), None, "order is text"),
        ((USER, ITEM, ORDER), ["a"] * ITEMS, "ids must be 30 different names, one a row of x; 1 are given"),
        ((USER, ITEM, ORDER), [f"{row}" for row in range(ITEMS)], r"no item is among the ids; .* such as \d+, ids '0'"),
        ((USER, [[1], 2, None], ORDER), None, "three columns.* of several lengths"),
        ((np.array([1, "a"] * 200, object), ITEM, ORDER), None, "values of user are of types that cannot be compared"),
        ((np.arange(EVENTS), ITEM, ORDER), None, "no user has two different items"),
        ([], None, "no user has two different items"),
    ],
)  # fmt: skip
def test_refuses_events_in_a_line(events, ids, message):
    with pytest.raises(InputRefused, match=message) as refused:
        pairs_of(events, ids)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X[0], r"x must be a matrix with a row for each item, not an array of shape \(4,\)"),
        ([], "x must be a matrix"),
        ([["a", "b"]], "x: embeddings must be numbers"),
        (np.where(np.arange(ITEMS)[:, None] > 27, np.nan, X), "2 of 30 rows hold NaN or infinity, the first is row 28"),
        (X[:3], "too few for 4 codes"),
    ],
)
def test_refuses_embeddings_in_a_line(x, message):
    with pytest.raises(InputRefused, match=message):
        drq_spark.fit(x, 2, 4, tokenizer="rq_kmeans", settings=QUICK)


def test_refuses_rows_without_direction_and_wrong_exposure():
    zeros = np.where(np.arange(ITEMS)[:, None] == 7, 0, X)
    with pytest.raises(InputRefused, match="1 of 30 rows hold zeros alone"):
        drq_spark.fit(zeros, 2, 4, normalize="l2")
    with pytest.raises(InputRefused, match="exposure must be 30 numbers, one a row of x"):
        drq_spark.fit(X, 2, 4, exposure=[1, 2])
    with pytest.raises(InputRefused, match="exposure must be numbers from 0"):
        drq_spark.fit(X, 2, 4, exposure=-np.ones(ITEMS))
    with pytest.raises(ConfigError, match="learns from events and there are none"):
        drq_spark.fit(X, 2, 4, tokenizer="drq_vae_cl")


def test_the_tokenizer_is_the_drivers(monkeypatch):
    """What is handed to the driver is the array with its events, and what comes back is the driver's tokenizer."""
    given = []

    def spied(sample, config, progress):
        given.append((sample, config))
        return train_tokenizer(sample, config, progress)

    monkeypatch.setattr("drq_spark.train.array_fit.train_tokenizer", spied)
    options = {"tokenizer": "rq_kmeans", "settings": QUICK}
    fitted = drq_spark.fit(X.astype(np.float64).tolist(), 2, [4, 3], **options)
    assert fitted.codebook_sizes == (4, 3)
    assert fitted.codes(X).shape == (ITEMS, 2)
    assert np.array_equal(given[0][0].x, X)
    assert given[0][0].exposure is None
    again = drq_spark.fit(X, np.int64(2), np.array([4, 3]), **options)
    assert tokenizer_id(again) == tokenizer_id(fitted)
    other = drq_spark.fit(X, 2, [4, 3], (USER, ITEM, ORDER), **options)
    assert given[-1][0].exposure.tolist() == np.bincount(ITEM, minlength=ITEMS).tolist()
    assert given[-1][0].behaviour is None  # k-means learns nothing from events
    assert other.training["sample"]["fingerprint"] != fitted.training["sample"]["fingerprint"]
    drq_spark.fit(X, 2, [4, 3], exposure=np.arange(ITEMS), tokenizer="rq_kmeans", settings={**QUICK, "sample.size": 12})
    drawn, config = given[-1]
    assert len(drawn.x) == config.sample.size == 12
    assert np.array_equal(X[drawn.exposure.astype(int)], drawn.x)


def test_the_default_tokenizer_learns_from_events():
    x = np.random.default_rng(0).normal(size=(150, 4)).astype(np.float32)
    near = np.argsort(x[:, -1])
    pairs = np.stack([near[:-1], near[1:]], axis=1)
    fitted = drq_spark.fit(x, 2, 4, pairs, settings={"train.threads": 1, "train.behaviour.steps": 5})
    assert fitted.encoder is not None
    assert fitted.training["sample"]["fit"] == 135
