"""What a run is known by: which one is taken up again, and which is another."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pyspark.sql import functions as F
from runs_in_hand import DAY, NOW, run_of, state_of

from drq_spark import run_state
from drq_spark.config import load_config
from drq_spark.run_state import find_same_run, new_run, newest, taken_up
from drq_spark.schemas import Status


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
