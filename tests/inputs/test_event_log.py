"""The events table: ids that match the items', an order, rows that count once each in its fingerprint."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pipeline.catalogues import write

from drq_spark import long_groups
from drq_spark.config import load_config
from drq_spark.errors import DrqError, InputRefused
from drq_spark.inputs.event_log import read_event_log
from drq_spark.inputs.events import Events
from drq_spark.staging import Staging


def read(spark, path, id_type="string", **settings):
    """Events of a file, for items whose ids have a type."""
    named = {f"events.{name}": value for name, value in settings.items()}
    return read_event_log(spark, load_config(options={"events.path": path, **named}), id_type)


def events(tmp_path, **columns):
    """One event, in columns of the test's own where it names some."""
    return write(pa.table({"user_id": [1], "item_id": ["a"], "timestamp": [1], **columns}), tmp_path / "events")


def of_order(tmp_path, *positions, kind=None):
    """Events with these positions."""
    rows = len(positions)
    columns = {"user_id": [1] * rows, "item_id": ["a"] * rows, "timestamp": pa.array(positions, kind)}
    return write(pa.table(columns), tmp_path / "events")


@pytest.mark.parametrize(
    ("id_type", "items"),
    [
        ("string", pa.array([1])),
        ("bigint", pa.array(["1"])),
        ("bigint", pa.array([1.0])),
        ("bigint", pa.array([[1]])),
    ],
    ids=str,
)
def test_item_ids_that_cannot_match_are_refused(spark, tmp_path, id_type, items):
    with pytest.raises(InputRefused, match="both must be strings or both integers"):
        read(spark, events(tmp_path, item_id=items), id_type)


@pytest.mark.parametrize("name", ["user_id", "timestamp"])
def test_a_column_that_cannot_be_ordered_is_refused(spark, tmp_path, name):
    with pytest.raises(InputRefused, match=f"column '{name}' is array<bigint>"):
        read(spark, events(tmp_path, **{name: pa.array([[1]])}))


@pytest.mark.parametrize(("setting", "other"), [("user", "item"), ("order", "user"), ("order", "item")])
def test_one_column_cannot_be_two_things(spark, tmp_path, setting, other):
    name = {"item": "item_id", "user": "user_id"}[other]
    with pytest.raises(InputRefused, match="name the same column"):
        read(spark, events(tmp_path), **{setting: name})


def test_ids_beyond_the_items_type_are_nobodys(spark, tmp_path):
    table = pa.table({"user_id": [1, 1, 2], "item_id": [7, 70_000, 7], "timestamp": [1, 2, 3]})
    log = read(spark, write(table, tmp_path / "events"), "smallint")
    known = spark.createDataFrame([(7,), (8,)], "item_id smallint")
    counted = Events(log, known, load_config(), Staging(str(tmp_path / "staging"))).exposure()
    assert [tuple(row) for row in counted.collect()] == [(7, 2.0)]


def test_no_events_are_refused(spark, tmp_path):
    table = pa.table({"user_id": [1], "item_id": ["a"], "timestamp": [1]}).slice(0, 0)
    with pytest.raises(DrqError, match="events table has no rows"):
        read(spark, write(table, tmp_path / "events"))


def test_users_and_positions_that_stand_for_none_are_none_and_counted(spark, tmp_path):
    nan = float("nan")
    table = {"user_id": ["u", "", "  ", None, "v"], "item_id": list("abcde"), "timestamp": [1.0, 2.0, 3.0, 4.0, nan]}
    log = read(spark, write(pa.table(table), tmp_path / "events"))
    assert (log.profile.rows, log.profile.without_user, log.profile.without_position) == (5, 3, 1)
    assert sorted((row.item_id, row.user) for row in log.rows.collect() if row.user) == [("a", "u"), ("e", "v")]
    with pytest.raises(InputRefused, match=r"column 'user_id' \(events.user\) is empty in all 1 rows"):
        read(spark, write(pa.table({**table, "user_id": [""] * 5}).slice(0, 1), tmp_path / "none"))


def test_text_positions_that_hold_numbers_are_ordered_as_numbers(spark, tmp_path):
    log = read(spark, of_order(tmp_path, "9", "10", None, "-1", "1e1", "1700000000123456789"))
    found = [int(row.position) for row in log.rows.where("position IS NOT NULL").orderBy("position").collect()]
    assert found == [-1, 9, 10, 10, 1700000000123456789]
    assert "ordered by the numbers" in log.profile.words[0]


@pytest.mark.parametrize(
    ("positions", "said"),
    [
        (("2024-01-05", "2024-01-05 10:00:01", "2024-01-05T11:00:00Z"), ()),
        (("05/11/2024", "2024-01-05"), ("such as '05/11/2024' and orders events letter by letter",)),
    ],
)
def test_text_positions_are_ordered_as_text_and_told_unless_the_year_comes_first(spark, tmp_path, positions, said):
    words = read(spark, of_order(tmp_path, *positions)).profile.words
    assert len(words) == len(said)
    assert all(part in word for part, word in zip(said, words, strict=True))


def test_text_positions_that_are_numbers_in_part_are_refused(spark, tmp_path):
    with pytest.raises(InputRefused, match="2 of 3 values are numbers and others are not, such as 'last'"):
        read(spark, of_order(tmp_path, "9", "10", "last"))


def test_the_fingerprint_is_of_the_rows_whatever_their_order(spark, tmp_path):
    def fingerprint(path):
        return read(spark, path).profile.fingerprint

    rows = pa.table({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"], "timestamp": [1, 2, 3]})
    first = fingerprint(write(rows, tmp_path / "first"))
    assert fingerprint(write(rows.take([2, 0, 1]), tmp_path / "turned", files=2)) == first
    assert fingerprint(write(rows.take([0, 1, 2, 2, 2]), tmp_path / "more")) != first


def test_users_with_more_events_than_a_task_takes_are_found_and_missing_ones_are_not(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(long_groups, "ROWS_A_PART", 50)
    users = ["busy"] * 60 + [""] * 70 + [f"u{n}" for n in range(90)]
    table = pa.table({"user_id": users, "item_id": ["a"] * len(users), "timestamp": range(len(users))})
    (bucket,) = read(spark, write(table, tmp_path / "events")).profile.long_users
    named = spark.createDataFrame([("busy",)], "user string").select(long_groups.bucket_of("user"))
    assert named.first()[0] == bucket
