"""What is drawn and split, against a plain loop over the same events."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from drq_spark.errors import ConfigError, InputRefused
from drq_spark.hashing import held_out_user, user_key
from drq_spark.probe.behaviour_arrays import asked_events, numbered_events, questions_of, training_sequences
from drq_spark.probe.behaviour_data import NO_ITEM
from drq_spark.probe.behaviour_split import Drawing, candidate_items, split_events
from drq_spark.probe.event_parts import Part, Split
from drq_spark.staging import Staging

ITEMS = [f"i{n:02d}" for n in range(12)]
START = datetime(2026, 1, 1)


def _events(rows: int = 300, users: int = 30) -> list[tuple[str, str, datetime]]:
    random = np.random.default_rng(1)
    minutes = random.permutation(rows * 3)[:rows]  # no two at one time
    return [
        (f"u{random.integers(users)}", ITEMS[random.integers(10)], START + timedelta(minutes=int(minute)))
        for minute in minutes
    ]


def _split(
    spark: SparkSession,
    events: list[Any],
    folder: Path,
    drawing: Drawing,
    partitions: int = 3,
    judging: float = 1.0,
) -> DataFrame:
    rows = spark.createDataFrame(events, "user string, item_id string, position timestamp").repartition(partitions)
    known = spark.createDataFrame([(item,) for item in ITEMS], "item_id string")
    return split_events(rows, known, drawing, 0, judging, Staging(str(folder)))


def _by_user(events: list[Any]) -> list[list[Any]]:
    users = defaultdict(list)
    for event in sorted(events, key=lambda event: event[2]):
        users[event[0]].append(event)
    return [row for row in users.values() if len(row) > 1]


def _rows(split: DataFrame) -> list[tuple[int, int, str, str]]:
    return sorted(tuple(row) for row in split.select("user_key", "place", "item_id", "part").collect())


def _as_sequences(rows: list[tuple[int, int, str, str]]) -> list[list[tuple[str, str]]]:
    users = defaultdict(list)
    for user, place, item, part in rows:
        assert place == len(users[user])
        users[user].append((item, part))
    return sorted(users.values())


def test_the_last_events_of_every_user_judge(spark: SparkSession, tmp_path: Path) -> None:
    events = [*_events(), ("short", "i01", START), ("short", "i02", START + timedelta(days=9)), ("one", "i03", START)]
    wanted = []
    for rows in _by_user(events):
        parts = [*["training"] * (len(rows) - 2), "validation", "test"] if len(rows) > 2 else ["training"] * 2
        wanted.append([(row[1], part) for row, part in zip(rows, parts, strict=True)])
    drawing = Drawing(split=Split.LAST)
    found = [_rows(_split(spark, events, tmp_path / str(n), drawing, n)) for n in (1, 4)]
    assert _as_sequences(found[0]) == sorted(wanted)
    assert found[0] == found[1]


def test_time_splits_all_users_at_once(spark: SparkSession, tmp_path: Path) -> None:
    events = _events()
    kept = [event for rows in _by_user(events) for event in rows]
    ends = np.quantile([event[2].timestamp() for event in kept], [0.8, 0.9])

    def part(at: datetime) -> str:
        return ("training", "validation", "test")[int((at.timestamp() > ends).sum())]

    wanted = sorted([(event[1], part(event[2])) for event in rows] for rows in _by_user(events))
    assert _as_sequences(_rows(_split(spark, events, tmp_path, Drawing()))) == wanted


@pytest.mark.parametrize("how", [Split.LAST, Split.TIME])
def test_only_users_that_tokenizers_have_learned_nothing_of_judge(
    spark: SparkSession, tmp_path: Path, how: Split
) -> None:
    events, share = _events(), 0.4
    split = _split(spark, events, tmp_path, Drawing(split=how), judging=share).collect()
    users = spark.createDataFrame(events, "user string, item_id string, position timestamp").select("user").distinct()
    held_out = {
        row.key: row.out
        for row in users.select(user_key(0).alias("key"), held_out_user(0, share).alias("out")).collect()
    }
    assert 0 < sum(held_out.values()) < len(held_out)
    everybody = _split(spark, events, tmp_path / "all", Drawing(split=how)).collect()
    for user, out in held_out.items():
        found, asked = (
            sorted((row.place, row.item_id, row.part) for row in rows if row.user_key == user)
            for rows in (split, everybody)
        )
        if out:
            assert found == asked
        elif how is Split.LAST:
            assert found == [(place, item, "training") for place, item, _ in asked]
        else:
            assert found == [row for row in asked if row[2] == "training"]


def test_questions_have_what_came_before(spark: SparkSession, tmp_path: Path) -> None:
    split = _split(spark, _events(), tmp_path, Drawing(split=Split.LAST))
    sids = spark.createDataFrame(
        [(item, [n], 0) for n, item in enumerate(ITEMS)], "item_id string, codes array<int>, suffix int"
    )
    chosen = candidate_items(sids, split, Drawing(candidates=100), 0)
    assert chosen.count() == len(ITEMS)  # two of them have no event
    ids = chosen.orderBy("item_id").select("item_id").toArrow()["item_id"].combine_chunks()
    numbered = numbered_events(split, ids)
    rows = _rows(split)
    sequences = training_sequences(numbered)
    training = [(user, place, item) for user, place, item, part in rows if part == "training"]
    assert [ITEMS[row] for row in sequences.items] == [item for _, _, item in training]
    assert len(sequences) == len({user for user, _, _ in training})
    weights = np.bincount(sequences.items, minlength=len(ITEMS))
    questions = questions_of(asked_events(numbered, 3), Part.TEST, 1000, 3, weights, 0)
    asked = [(user, place, item) for user, place, item, part in rows if part == "test"]
    assert len(questions) == len(asked)
    for n, (user, place, item) in enumerate(asked):
        before = [row[2] for row in rows if row[0] == user and place - 3 <= row[1] < place]
        history = [ITEMS[row] for row in questions.history[n] if row != NO_ITEM]
        assert (history, ITEMS[questions.target[n]], questions.users[n]) == (before, item, user)
        assert (questions.history[n][: 3 - len(before)] == NO_ITEM).all()
        assert questions.target[n] not in questions.others[n]


def test_fewer_candidates_are_those_with_events(spark: SparkSession, tmp_path: Path) -> None:
    events = [("u", ITEMS[n % 4], START + timedelta(hours=n)) for n in range(8)]
    split = _split(spark, events, tmp_path, Drawing(split=Split.LAST))
    sids = spark.createDataFrame([(item, [1], 0) for item in ITEMS], "item_id string, codes array<int>, suffix int")
    found = {row.item_id for row in candidate_items(sids, split, Drawing(candidates=4), 0).collect()}
    assert found == set(ITEMS[:4])


def test_text_has_no_times(spark: SparkSession, tmp_path: Path) -> None:
    rows = spark.createDataFrame([("u", "i01", "a"), ("u", "i02", "b")], "user string, item_id string, position string")
    with pytest.raises(ConfigError, match="--split time needs times or numbers"):
        split_events(rows, rows, Drawing(split=Split.TIME), 0, 1.0, Staging(str(tmp_path)))
    with pytest.raises(InputRefused, match="no user has 2 to"):
        split_events(rows.limit(1), rows, Drawing(), 0, 1.0, Staging(str(tmp_path)))
