"""The events table: ids that match the items', an order, rows that count once each in its fingerprint."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pipeline.catalogues import write

from drq_spark.config import load_config
from drq_spark.errors import DrqError, InputRefused
from drq_spark.inputs.events import Events, events_fingerprint, read_events
from drq_spark.staging import Staging


def read(spark, path, id_type="string"):
    """Events of a file, for items whose ids have a type."""
    return read_events(spark, load_config(options={"events.path": path}), id_type)


def events(tmp_path, **columns):
    """One event, in columns of the test's own where it names some."""
    return write(pa.table({"user_id": [1], "item_id": ["a"], "timestamp": [1], **columns}), tmp_path / "events")


def fingerprint(spark, path):
    """Of the events of a file."""
    return events_fingerprint(spark, load_config(options={"events.path": path}), "string")


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


def test_ids_beyond_the_items_type_are_nobodys(spark, tmp_path):
    table = pa.table({"user_id": [1, 1, 2], "item_id": [7, 70_000, 7], "timestamp": [1, 2, 3]})
    rows = read(spark, write(table, tmp_path / "events"), "smallint")
    counted = Events(rows, load_config(), Staging(str(tmp_path / "staging"))).exposure()
    assert [tuple(row) for row in counted.collect()] == [(7, 2.0)]


def test_no_events_are_refused(spark, tmp_path):
    table = pa.table({"user_id": [1], "item_id": ["a"], "timestamp": [1]}).slice(0, 0)
    with pytest.raises(DrqError, match="events table has no rows"):
        fingerprint(spark, write(table, tmp_path / "events"))


def test_the_fingerprint_is_of_the_rows_whatever_their_order(spark, tmp_path):
    rows = pa.table({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"], "timestamp": [1, 2, 3]})
    first = fingerprint(spark, write(rows, tmp_path / "first"))
    assert fingerprint(spark, write(rows.take([2, 0, 1]), tmp_path / "turned", files=2)) == first
    assert fingerprint(spark, write(rows.take([0, 1, 2, 2, 2]), tmp_path / "more")) != first
