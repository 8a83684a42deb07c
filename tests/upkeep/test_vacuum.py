"""What old runs leave goes, what readers follow never does, and the history stays."""

from __future__ import annotations

import json
import os
import shutil
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from deltalake import DeltaTable
from rich.console import Console
from runs_in_hand import DAY, changed, published, run_of, sids_of, state_of

from drq_spark.errors import ConfigError
from drq_spark.lease import Lease
from drq_spark.metrics import Metric
from drq_spark.progress import SILENT
from drq_spark.run_state import find_run, find_same_run
from drq_spark.runs import open_run
from drq_spark.schemas import METRICS, SIDS, USER_STATES, Change
from drq_spark.store import Store
from drq_spark.upkeep import way_back
from drq_spark.upkeep.history import history
from drq_spark.upkeep.standing_of_store import standing_of
from drq_spark.upkeep.upkeep_on_terminal import show_clearance, show_history, show_standing
from drq_spark.upkeep.vacuum import clear, clearance, rows_of
from drq_spark.upkeep.way_back import refuse_gone, what_is_gone

FIGURES = "metric string, level int, weighting string, eta double, value double, standard_error double, ruler string"


@pytest.fixture(scope="module")
def made(spark, tmp_path_factory):
    """Readers follow the first of three runs; each has a tokenizer of its own, and one folder is nobody's."""
    tmp_path = tmp_path_factory.mktemp("made")
    first = published(spark, tmp_path, "first", ["a", "b"])
    first.write(METRICS, spark.createDataFrame([("duplicate_rate", 0, "items", None, 0.25, None, None)], FIGURES))
    first.save()
    for days, name in enumerate(("second", "third"), start=1):
        state = {"run_date": DAY + timedelta(days=days), "tokenizer_id": f"tokenizer-{name}", "status": "gate_failed"}
        run = run_of(spark, tmp_path, name, **state)
        run.write(SIDS, sids_of(spark, ["a", "b", "c"]))
        run.save()
    for name in ("tokenizer-a", "tokenizer-second", "tokenizer-third", "orphan"):
        (tmp_path / "tokenizers" / name).mkdir(parents=True)
        (tmp_path / "rankers" / f"of-{name}").mkdir(parents=True)
    for name in (
        "tokenizer-a",
        "tokenizer-second",
        "tokenizer-third",
    ):  # the ranker of the last was killed as it was written
        (tmp_path / "rankers" / f"of-{name}" / "ranker.json").write_text(json.dumps({"tokenizer_id": name}))
    states = [(f"of-{name}", "u", [0.5], 1, Decimal(1), 1, 7) for name in ("tokenizer-a", "tokenizer-second")]
    first.store.put(USER_STATES, spark.createDataFrame(states, USER_STATES.ddl("string")), "first")
    return tmp_path


@pytest.fixture
def out(made, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(made, tmp_path / "out"))


def ids_in(out, name):
    return {row["run_id"] for row in DeltaTable(str(out / "tables" / name)).to_pyarrow_table().to_pylist()}


def told(show, *arguments, **more):
    text = StringIO()
    show(Console(file=text, width=80), *arguments, **more)
    return text.getvalue()


def test_what_goes_is_told_before_and_readers_keep_what_they_follow(spark, out):
    run = run_of(spark, out, "first")
    found = clearance(run, keep=1)
    assert [state.run_id for state in found.runs] == ["second"]
    assert found.tokenizers == ("orphan", "tokenizer-second")
    assert found.rankers == ("of-orphan", "of-tokenizer-second")
    rows = rows_of(run.store, found)
    assert rows == {"sids": 3, "user_states": 1}
    text = told(show_clearance, found, rows, done=False)
    assert "run second (gate_failed) would go" in text
    assert "ranker of-tokenizer-second would go" in text
    assert "Nothing was deleted" in text
    assert ids_in(out, "sids") == {"first", "second", "third"}


def test_what_goes_is_gone_but_for_the_history(spark, out):
    before = find_run(run_of(spark, out, "first").store, "second")
    kept = {"first", "third"}
    before_it = sum(
        any(run_id in uri for run_id in kept) for uri in DeltaTable(str(out / "tables" / "sids")).file_uris()
    )
    run = run_of(spark, out, "first")
    with run.tidied():
        clear(run, clearance(run, keep=1), retain_hours=0, optimize=True)
    assert ids_in(out, "sids") == {"first", "third"}
    assert len(DeltaTable(str(out / "tables" / "sids")).file_uris()) == 2 < before_it
    files = {file.name for file in (out / "tables" / "sids").rglob("*.parquet") if "_delta_log" not in file.parts}
    assert len(files) == len(DeltaTable(str(out / "tables" / "sids")).file_uris())
    assert {folder.name for folder in (out / "tokenizers").iterdir()} == {"tokenizer-a", "tokenizer-third"}
    assert {folder.name for folder in (out / "rankers").iterdir()} == {"of-tokenizer-a", "of-tokenizer-third"}
    states = DeltaTable(str(out / "tables" / "user_states")).to_pyarrow_table()
    assert states["ranker_id"].to_pylist() == ["of-tokenizer-a"]
    assert ids_in(out, "runs") == {"first", "second", "third"}
    assert find_run(run.store, "second").status == "vacuumed"
    assert find_same_run(run.store, before) is None or find_same_run(run.store, before).run_id != "second"
    with pytest.raises(ConfigError, match="run second has been cleared away"):
        open_run(run.store, "second", SILENT)
    with pytest.raises(ConfigError, match="run second cannot be published, its rows are gone"):
        refuse_gone(run.store, "second")
    assert clearance(run, keep=1).runs == ()


def test_the_history_tells_what_each_run_changed(spark, out):
    changed(spark, out, "night", [("a", "removed", 0, 0, None, None), ("c", "added", None, None, 0, 2)], after=3)
    store = run_of(spark, out, "first").store
    past = history(store, 10)
    assert [one.state.run_id for one in past] == ["night", "third", "second", "first"]
    assert past[0].changes == {Change.REMOVED: 1, Change.ADDED: 1}
    assert past[3].figures == {Metric.DUPLICATE_RATE: 0.25}
    assert [one.state.run_id for one in history(store, 2)] == ["night", "third"]
    text = told(show_history, past, {"live": "first"})
    assert max(map(len, text.splitlines())) <= 80
    assert "25.0%" in next(line for line in text.splitlines() if "first" in line and "*" in line)


def test_standing_tells_what_is_published_running_and_dead(spark, out):
    store = open_run(Store(spark, str(out)), "first", SILENT).store
    run_of(spark, out, "left", run_date=DAY + timedelta(days=9), seconds={"read": 1.0}).save()
    said = told(show_standing, standing_of(store))
    assert "readers follow first: 2 items, tokenizer tokenizer-a" in said
    assert "nobody is at work" in said
    assert "not ended: left (started; done: read)" in said
    lease = Lease(store)
    lease.take()
    with lease.kept():
        assert f"at work: process {os.getpid()} on" in told(show_standing, standing_of(store))
    assert standing_of(store).at_work is None


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (2, None),
        (0, "only 0 of its 2 SIDs are there"),
        (RuntimeError("Caused by: java.io.FileNotFoundException: part-0.parquet"), "files of its SIDs are gone"),
        (
            RuntimeError("[DELTA_VERSION_NOT_FOUND] Cannot time travel Delta table to version 3"),
            "files of its SIDs are",
        ),
        (RuntimeError("the network is down"), RuntimeError),
    ],
)
def test_what_of_a_run_is_gone_is_told(spark, tmp_path, monkeypatch, found, says):
    """As many SIDs must be read as the run has given; a fault of another kind is not taken for their loss."""
    rows = MagicMock()
    rows.agg.return_value.collect = MagicMock(side_effect=[[(found,)]] if isinstance(found, int) else found)
    monkeypatch.setattr(way_back, "reader_rows", lambda store, state: rows)
    state, store = state_of("run", rows_out=2), Store(spark, str(tmp_path))
    assert what_is_gone(store, state) == "tokenizer tokenizer-a is gone"
    (tmp_path / "tokenizers" / "tokenizer-a").mkdir(parents=True)
    if says is RuntimeError:
        with pytest.raises(RuntimeError, match="network"):
            what_is_gone(store, state)
        return
    told = what_is_gone(store, state)
    assert told is None if says is None else told.startswith(says)


def test_a_run_that_is_gone_is_refused_with_those_that_readers_can_be_moved_to(monkeypatch):
    states = [state_of(name, status="published") for name in "abcde"]
    lost = {"a": None, "b": "its rows are gone", "c": None, "d": None, "e": None}
    monkeypatch.setattr(way_back, "find_run", lambda store, run_id: state_of(run_id))
    monkeypatch.setattr(way_back, "latest_runs", lambda store, most: [state_of("x", status="gate_failed"), *states])
    monkeypatch.setattr(way_back, "what_is_gone", lambda store, state: lost[state.run_id])
    refuse_gone(None, "a")
    with pytest.raises(ConfigError, match=r"^run b cannot be published, its rows are gone: .*moved to a, c, d$"):
        refuse_gone(None, "b")
    monkeypatch.setattr(way_back, "what_is_gone", lambda store, state: "its rows are gone")
    with pytest.raises(ConfigError, match=r"no earlier run is whole: start drq run anew$"):
        refuse_gone(None, "b")
