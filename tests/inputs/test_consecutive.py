"""What comes of the events: how often items are seen, and which follow one another, as a plain loop finds it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from pyspark.sql import functions as F

from drq_spark import long_groups
from drq_spark.config import load_config
from drq_spark.hashing import tie_key
from drq_spark.inputs.consecutive import between
from drq_spark.inputs.event_log import EventLog, EventProfile
from drq_spark.inputs.events import Events
from drq_spark.staging import Staging

KNOWN = [f"i{number}" for number in range(1, 6)]  # of i1 to i6
PROFILE = EventProfile(300, 0, 0, "", (), ())


@pytest.fixture(scope="module")
def rows():
    """(user, item, position), each of them NULL now and then, and equal positions; u1 does most."""
    random = np.random.default_rng(4)
    users = [f"u{min(number, 9)}" if number else None for number in random.integers(30, size=300)]
    items = [f"i{number}" if number else None for number in random.integers(7, size=300)]
    places = [int(place) if place else None for place in random.integers(20, size=300)]
    return list(zip(users, items, places, strict=True))


@pytest.fixture(scope="module")
def ties(spark, rows):
    """The hash that orders events at one position, from Spark one by one."""
    df = spark.createDataFrame(sorted(set(rows), key=repr), "user string, item_id string, position int")
    return {tuple(row)[:3]: row[3] for row in df.select("user", "item_id", "position", tie_key(0)).collect()}


def by_loop(rows, ties, unknown, tied):
    """(item, next item) of every event of a known item in a sequence, with how often it comes; None for no pair."""
    seen = defaultdict(list)
    for row in rows:
        if row[0] is not None and row[2] is not None and (unknown == "part" or row[1] in KNOWN):
            seen[row[0]].append(row)
    pairs = Counter()
    for events in seen.values():
        ordered = sorted(events, key=lambda row: (row[2], ties[row]))
        for (_, a, at), (_, b, then) in pairwise([*ordered, (None, None, None)]):
            pair = {a, b} <= set(KNOWN) and a != b and not (tied == "part" and at == then)
            if a in KNOWN:
                pairs[(a, b) if pair else None] += 1
    return pairs


def events_of(spark, rows, folder, *settings, partitions=3, long_users=()):
    """Events of some rows, among known items."""
    df = spark.createDataFrame(rows, "user string, item_id string, position int").repartition(partitions, F.rand(1))
    known = spark.createDataFrame([(item,) for item in KNOWN], "item_id string")
    log = EventLog(df, replace(PROFILE, long_users=tuple(long_users)))
    return Events(log, known, load_config(settings=settings), Staging(str(folder)))


@pytest.mark.parametrize(
    ("unknown", "tied", "partitions"), [("bridge", "shuffle", 1), ("bridge", "part", 7), ("part", "shuffle", 7)]
)
def test_counts_and_pairs_are_those_of_a_loop_over_users(spark, rows, ties, tmp_path, unknown, tied, partitions):
    settings = (f"events.unknown={unknown}", f"events.ties={tied}")
    events = events_of(spark, rows, tmp_path, *settings, partitions=partitions)
    exposure = {row.item_id: row.exposure for row in events.exposure().collect()}
    assert exposure == Counter(item for _, item, _ in rows if item in KNOWN)
    pairs = events.pairs().collect()
    expected = by_loop(rows, ties, unknown, tied)
    del expected[None]
    assert Counter((row.item_id, row.next_item_id) for row in pairs) == expected
    held_out = {(row.user_key, row.held_out) for row in pairs}
    assert len(held_out) == len({key for key, _ in held_out})  # a user is on one side


@pytest.mark.parametrize("unknown", ["bridge", "part"])
def test_a_user_with_too_many_events_for_a_task_has_the_same_pairs(spark, rows, tmp_path, monkeypatch, unknown):
    setting = f"events.unknown={unknown}"
    columns = ("item_id", "next_item_id", "followed", "tied", "repeated", "pair_key", "user_key", "held_out")
    whole = events_of(spark, rows, tmp_path / "whole", setting)
    expected = sorted(map(tuple, whole._followed().select(*columns).collect()), key=repr)
    monkeypatch.setattr(long_groups, "ROWS_A_PART", 20)
    users = spark.createDataFrame([("u9",), ("u3",)], "user string")
    long_users = [row[0] for row in users.select(long_groups.bucket_of("user")).collect()]
    dealt = events_of(spark, rows, tmp_path / "dealt", setting, long_users=long_users)
    assert sorted(map(tuple, dealt._followed().select(*columns).collect()), key=repr) == expected
    parts = spark.read.parquet(str(tmp_path / "dealt" / "long_users"))
    sizes = {row.part: row["count"] for row in parts.groupBy("part").count().collect()}
    assert len(sizes) > 5
    assert max(sizes.values()) < 60


def test_ties_are_in_no_order_that_ids_tell(spark, tmp_path):
    """Everyone takes a, b and c at once: by ids a pair would be (a, b) or (b, c) always."""
    rows = [(f"u{user}", item, 1) for user in range(300) for item in ("i1", "i2", "i3")]
    pairs = Counter(tuple(row)[:2] for row in events_of(spark, rows, tmp_path).pairs().collect())
    assert len(pairs) == 6
    assert all(60 < times < 140 for times in pairs.values())  # 100 each are expected


def test_pairs_between_some_items_have_both_ends_among_them(spark, rows, tmp_path):
    pairs = events_of(spark, rows, tmp_path).pairs()
    few = spark.createDataFrame([("i1", 1.0), ("i2", 1.0), ("i5", 0.0)], "item_id string, weight double")
    every = Counter(tuple(row)[:2] for row in pairs.collect())
    found = Counter(tuple(row)[:2] for row in between(pairs, few).select("item_id", "next_item_id").collect())
    assert found == {pair: times for pair, times in every.items() if set(pair) <= {"i1", "i2", "i5"}}


def test_the_account_is_that_of_a_loop(spark, rows, ties, tmp_path):
    account = events_of(spark, rows, tmp_path, "events.holdout=0").account
    placed = [row for row in rows if None not in row and row[1] in KNOWN]
    users = Counter(user for user, *_ in placed)
    assert (account.known, account.placed) == (sum(item in KNOWN for _, item, _ in rows), len(placed))
    assert (account.users, account.largest, account.largest_name) == (len(users), users["u9"], "u9")
    ordered = sorted(placed, key=lambda row: (row[0], row[2], ties[row]))
    steps = [(a, b) for a, b in pairwise(ordered) if a[0] == b[0]]
    assert account.followed == len(steps)
    assert account.tied == sum(a[2] == b[2] and a[1] != b[1] for a, b in steps)
    assert account.repeated == sum(a[1] == b[1] for a, b in steps)
    assert account.pairs == len(steps) - account.repeated
    assert account.judging_users == len({a[0] for a, b in steps if a[1] != b[1]})
