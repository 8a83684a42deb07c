"""What comes of the events: how often items are seen, and which follow one another, as a plain loop finds it."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
from pyspark.sql import functions as F

from drq_spark.config import load_config
from drq_spark.inputs.consecutive import between
from drq_spark.inputs.events import Events
from drq_spark.staging import Staging


@pytest.fixture(scope="module")
def rows():
    """(user, item, position), each of them NULL now and then, and equal positions."""
    random = np.random.default_rng(4)
    users = [f"u{number}" if number else None for number in random.integers(9, size=300)]
    items = [f"i{number}" if number else None for number in random.integers(7, size=300)]
    places = [int(place) if place else None for place in random.integers(20, size=300)]
    return list(zip(users, items, places, strict=True))


def by_loop(rows):
    """(item, next item) with how often it comes."""
    seen = defaultdict(list)
    for user, item, place in rows:
        if user is not None and place is not None:
            seen[user].append((place, item is not None, item or "", item))  # NULL comes before any text
    pairs = Counter()
    for events in seen.values():
        ordered = [item for *_, item in sorted(events, key=lambda event: event[:3])]
        pairs.update((a, b) for a, b in pairwise(ordered) if a is not None and b is not None and a != b)
    return pairs


@pytest.mark.parametrize("partitions", [1, 7])
def test_counts_and_pairs_are_those_of_a_loop_over_users(spark, rows, tmp_path, partitions):
    df = spark.createDataFrame(rows, "user string, item_id string, position int").repartition(partitions, F.rand(1))
    events = Events(df, load_config(), Staging(str(tmp_path)))
    exposure = {row.item_id: row.exposure for row in events.exposure().collect()}
    assert exposure == Counter(item for _, item, _ in rows if item is not None)
    pairs = events.pairs().collect()
    assert Counter((row.item_id, row.next_item_id) for row in pairs) == by_loop(rows)
    held_out = {(row.user_key, row.held_out) for row in pairs}
    assert len(held_out) == len({key for key, _ in held_out})  # a user is on one side


def test_pairs_between_some_items_have_both_ends_among_them(spark, rows, tmp_path):
    df = spark.createDataFrame(rows, "user string, item_id string, position int")
    few = spark.createDataFrame([("i1", 1.0), ("i2", 1.0), ("i5", 0.0)], "item_id string, weight double")
    found = between(Events(df, load_config(), Staging(str(tmp_path))).pairs(), few).collect()
    known = {"i1", "i2", "i5"}
    expected = {pair: times for pair, times in by_loop(rows).items() if set(pair) <= known}
    assert Counter((row.item_id, row.next_item_id) for row in found) == expected
