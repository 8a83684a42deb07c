"""One place writes tables: slices by run, rules that Delta enforces, ids of one type."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timezone

import pytest
from deltalake import DeltaTable
from pyspark.errors import PySparkException

from drq_spark.errors import ConfigError, InputRefused
from drq_spark.schemas import CODE_USAGE, LEASE, PUBLISHED, SID_QUARANTINE, SIDS
from drq_spark.store import Store

ROW = ("a", [1], 1, 0, [0.5], 0.5, None, 7, None, "tokenizer", "run", date(2026, 1, 1))
SIDS_DDL = ", ".join(f"{column.name} {column.type.format(id='string')}" for column in SIDS.columns)


@pytest.fixture(scope="module")
def store(spark, tmp_path_factory):
    """A store whose place has a hostile name."""
    return Store(spark, str(tmp_path_factory.mktemp("store") / "it's `ours` Ω"))


def sids(spark, **changes):
    """One row of the sids table."""
    row = dict(zip(SIDS.column_names(), ROW, strict=True)) | changes
    return spark.createDataFrame([tuple(row.values())], SIDS_DDL)


def rows(store, table):
    """Rows as another engine reads them."""
    return DeltaTable(store.location(table)).to_pyarrow_table().to_pylist()


def test_a_write_replaces_the_runs_own_slice_only(spark, store):
    for run_id, item in (("one", "a"), ("two", "b"), ("one", "c")):
        store.write(SIDS, sids(spark, item_id=item, run_id=run_id), run_id)
    found = {(row["run_id"], row["item_id"]) for row in rows(store, SIDS) if row["run_id"] in ("one", "two")}
    assert found == {("one", "c"), ("two", "b")}
    assert [row.item_id for row in store.read(SIDS, "two").collect()] == ["b"]


def test_a_first_write_adds_to_what_other_runs_have_and_is_replaced_by_the_next(spark, store):
    store.write(SIDS, sids(spark, item_id="a", run_id="before"), "before")
    store.write(SIDS, sids(spark, item_id="b", run_id="new"), "new", first=True)
    assert {(row["run_id"], row["item_id"]) for row in rows(store, SIDS)} >= {("before", "a"), ("new", "b")}
    store.write(SIDS, sids(spark, item_id="c", run_id="new"), "new")
    assert [row["item_id"] for row in rows(store, SIDS) if row["run_id"] == "new"] == ["c"]


def test_a_row_of_another_run_is_refused(spark, store):
    with pytest.raises(PySparkException):
        store.write(SIDS, sids(spark, run_id="other"), "one")


@pytest.mark.parametrize("change", [{"sid": -1}, {"suffix": -1}, {"codes": None}, {"item_id": None}], ids=str)
def test_rows_that_break_a_rule_are_refused_and_change_nothing(spark, store, change):
    store.write(SIDS, sids(spark, run_id="rules"), "rules")
    before = DeltaTable(store.location(SIDS)).version()
    with pytest.raises(PySparkException):
        store.write(SIDS, sids(spark, run_id="rules", **change), "rules")
    assert DeltaTable(store.location(SIDS)).version() == before


def test_a_negative_code_is_refused(spark, store):
    schema = "run_id string, tokenizer_id string, level int, code int, items bigint, exposure double"
    with pytest.raises(PySparkException):
        store.write(CODE_USAGE, spark.createDataFrame([("r", "t", 1, -1, 1, None)], schema), "r")


def test_a_table_of_other_ids_is_refused_before_anything_is_written(spark, store):
    quarantined = spark.createDataFrame([(None, "null_id", "run")], "item_id string, reason string, run_id string")
    store.write(SID_QUARANTINE, quarantined, "run")
    with pytest.raises(InputRefused, match="has item_id as string, this run's ids are bigint: use another --out"):
        store.write(SID_QUARANTINE, quarantined, "run", "bigint")
    with pytest.raises(InputRefused, match="this run's ids are bigint"):
        store.refuse_other_ids(SID_QUARANTINE, "bigint")


def test_the_pointer_has_one_row_whatever_is_written(spark, store):
    schema = "run_id string, run_date date, tokenizer_id string, sids_version bigint, rows bigint"
    versions = [
        store.write(PUBLISHED, spark.createDataFrame([(run_id, date(2026, 1, 1), "t", 1, 1)], schema), run_id)
        for run_id in ("one", "two")
    ]
    assert [row["run_id"] for row in rows(store, PUBLISHED)] == ["two"]
    assert versions[1] == versions[0] + 1 == DeltaTable(store.location(PUBLISHED)).version()


def test_a_schema_of_a_catalog_holds_the_same_tables(spark, tmp_path):
    spark.sql("CREATE DATABASE IF NOT EXISTS team_1")
    named = Store(spark, str(tmp_path), "`team_1`")
    assert not named.exists(SIDS)
    named.write(SIDS, sids(spark, run_id="one"), "one")
    assert named.exists(SIDS)
    assert [row.item_id for row in named.read(SIDS, "one").collect()] == ["a"]
    terms = "term bigint, owner string, heartbeat_at timestamp, expires_at timestamp"
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    for term, owner in ((1, "first"), (1, "beaten"), (2, "second")):
        named.put_term(LEASE, spark.createDataFrame([(term, owner, now, now)], terms), term)
    assert [row.owner for row in named.read(LEASE).collect()] == ["second"]
    assert named.version(LEASE) == 2  # made, first, second
    assert not (tmp_path / "tables").exists()


def test_a_table_of_an_earlier_version_gets_the_columns_that_it_lacks(spark, tmp_path):
    old = Store(spark, str(tmp_path))
    before = replace(SID_QUARANTINE, columns=tuple(c for c in SID_QUARANTINE.columns if c.name != "item_id"))
    old.put(before, spark.createDataFrame([("null", "one")], "reason string, run_id string"), "one")
    row = spark.createDataFrame([("a", "null", "two")], "item_id string, reason string, run_id string")
    old._add_columns(SID_QUARANTINE, "string", old._columns(SID_QUARANTINE))
    old.put(SID_QUARANTINE, row, "two")
    assert {(row["item_id"], row["run_id"]) for row in rows(old, SID_QUARANTINE)} == {(None, "one"), ("a", "two")}
    comment = DeltaTable(old.location(SID_QUARANTINE)).schema().fields[-1].metadata["comment"]
    assert comment == SID_QUARANTINE.columns[0].comment


def test_a_table_that_cannot_be_made_is_a_matter_of_the_settings(spark, tmp_path):
    with pytest.raises(ConfigError, match="cannot be created"):
        Store(spark, str(tmp_path), "no_such_schema").write(SIDS, sids(spark), "run")
