"""What a run is known by: which one is taken up again, and which is another."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from pyspark.sql import functions as F
from runs_in_hand import DAY, NOW, run_of, state_of

from drq_spark import run_state
from drq_spark.config import load_config
from drq_spark.run_state import channels, find_same_run, followed_runs, new_run, newest, recent_nights, taken_up
from drq_spark.schemas import Status
from drq_spark.store import Store


@pytest.fixture(scope="module")
def begun(spark, tmp_path_factory):
    """A run that has only begun."""
    run = run_of(spark, tmp_path_factory.mktemp("begun"), "begun", status=Status.STARTED.value)
    run.save()
    return run


class TestSameRun:
    """An unfinished run is taken up again by the version that began it; another one may number or round otherwise."""

    def test_the_same_settings_rows_and_version_are_the_same_run(self, begun):
        found = find_same_run(begun.store, state_of("fresh"))
        assert found is not None
        assert found.run_id == "begun"

    @pytest.mark.parametrize("name", ["config_fingerprint", "input_fingerprint", "package_version"])
    def test_anything_else_is_another(self, begun, name):
        assert find_same_run(begun.store, state_of("fresh", **{name: "another"})) is None


def test_another_version_of_the_package_gives_another_id(monkeypatch):
    def fresh():
        return new_run(load_config(), "content", DAY, NOW, 4, 2, "string").run_id

    before = fresh()
    assert fresh() == before
    monkeypatch.setattr(run_state, "__version__", "0.0.1")
    assert fresh() != before


def test_of_two_runs_the_newest_is_of_the_later_day_and_then_the_one_that_began_later(spark):
    rows = [
        ("monday", "2026-01-05", "2026-01-05 20:00:00"),
        ("tuesday", "2026-01-06", "2026-01-06 08:00:00"),
        ("tuesday again", "2026-01-06", "2026-01-06 09:00:00"),
        ("monday, late", "2026-01-05", "2026-01-07 10:00:00"),
    ]
    df = spark.createDataFrame(rows, "run_id string, day string, at string").select(
        "run_id", F.to_date("day").alias("run_date"), F.to_timestamp("at").alias("started_at")
    )
    store = SimpleNamespace(read=lambda table, run_id=None: df)
    assert newest(store, "tuesday", "monday, late") == "tuesday"
    assert newest(store, "tuesday again", "tuesday") == "tuesday again"
    assert newest(store, "monday", "monday, late") == "monday, late"
    assert newest(store, "nobody") is None


def test_a_run_that_is_taken_up_keeps_its_id_and_its_beginning_and_takes_what_it_is_given_now():
    before = state_of("before", tokenizer_id="made")
    fresh = state_of("fresh", started_at=NOW.replace(hour=9), taken_up_at=NOW.replace(hour=9), config="{}",
                     input_versions={"items": 3})  # fmt: skip
    found = taken_up(before, fresh)
    assert (found.run_id, found.started_at, found.tokenizer_id) == ("before", NOW, "made")
    assert (found.taken_up_at, found.config, found.input_versions) == (NOW.replace(hour=9), "{}", {"items": 3})
    assert taken_up(None, fresh) == fresh
    finished = state_of("finished", status="overtaken")
    assert taken_up(finished, fresh) == finished


@pytest.fixture(scope="module")
def told(spark):
    """A store with these rows in its runs table, day by day."""
    live, both = {"published": 1}, {"published": 2, "published_next": 1}
    made = [
        ("live-1", "live", None, live), ("live-2", None, "live-1", live), ("next-3", "next", "live-2", {}),
        ("next-4", "next", "next-3", {}), ("live-4", "live", "live-2", live), ("next-5", "next", "next-4", both),
    ]  # fmt: skip
    rows = [
        (run_id, channel, base, versions, "tokenizer-a", "night", "published", DAY + timedelta(days=day), NOW)
        for day, (run_id, channel, base, versions) in enumerate(made)
    ]
    rows.append(("late", "third", "live-4", {}, "tokenizer-b", "night", "gate_failed", DAY, NOW))
    schema = (
        "run_id string, channel string, base_run_id string, table_versions map<string,bigint>, "
        "tokenizer_id string, mode string, status string, run_date date, started_at timestamp"
    )
    df = spark.createDataFrame(rows, schema)
    return lambda channel: SimpleNamespace(
        read=lambda table: df,
        exists=lambda table: True,
        channel=channel,
        name_of=Store(None, "", None, channel).name_of,
    )


def test_runs_that_are_cleared_away_were_followed_and_hold_places_as_before(spark, told):
    """Not one that failed its gate before it was cleared away, to whose figures readers never came."""
    df = told("live").read("runs")
    gone = df.withColumn(
        "status", F.when(F.col("run_id").isin("live-1", "live-2"), "vacuumed").otherwise(F.col("status"))
    )
    failed = df.where("run_id = 'live-2'").withColumns(
        {
            "run_id": F.lit("failed"),
            "status": F.lit("vacuumed"),
            "table_versions": F.lit(None).cast("map<string,bigint>"),
        }
    )
    store = told("live")
    store.read = lambda table: gone.unionByName(failed)
    assert followed_runs(store, 9) == ["next-5", "live-4", "live-2", "live-1"]
    held = recent_nights(store, "tokenizer-a", "live-4", 9)["live"]
    assert [run for run in held if run != "failed"] == ["next-5", "live-4", "live-2"]


class TestChannels:
    """Three nights of live, a branch of it, `next`, whose last night was given to live, and a third that never was."""

    def test_all_are_known(self, told):
        assert channels(told("next")) == ["live", "next", "third"]

    def test_a_channel_follows_its_own_runs_and_those_that_were_given_to_it(self, told):
        assert followed_runs(told("live"), 9) == ["next-5", "live-4", "live-2", "live-1"]
        assert followed_runs(told("next"), 2) == ["next-5", "next-4"]
        assert followed_runs(told("third"), 9) == []

    @pytest.mark.parametrize(
        ("channel", "base", "most", "expected"),
        [
            ("live", "live-4", 9, {"live": ["next-5", "live-4", "live-2"]}),
            ("live", "next-5", 9, {"live": ["next-5", "live-4", "live-2"], "next": ["next-5", "next-4", "next-3"]}),
            ("live", "next-5", 2, {"live": ["next-5", "live-4"], "next": ["next-5", "next-4"]}),
            ("next", "next-5", 9, {"next": ["next-5", "next-4", "next-3"], "live": ["live-2"]}),
        ],
    )
    def test_places_are_held_by_its_nights_and_by_those_that_the_base_stems_from(
        self, told, channel, base, most, expected
    ):
        """Not by those of another channel that went its own way."""
        assert recent_nights(told(channel), "tokenizer-a", base, most) == expected
