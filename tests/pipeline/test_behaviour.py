"""Events on their way to training: tables where a tokenizer learns from them, and one line where it cannot."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timezone
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pipeline.catalogues import plain, write
from pipeline.direct import config, ready_tokenizer
from pipeline.nights import command
from pipeline.reference import rows_of

from drq_spark import pipeline
from drq_spark.kinds import KINDS
from drq_spark.progress import SILENT
from drq_spark.schemas import BEHAVIOUR_ITEMS, BEHAVIOUR_PAIRS
from drq_spark.tokenizer.artifact import save_tokenizer
from drq_spark.train.driver import memory_needed
from drq_spark.train.memory import behaviour_bytes
from drq_spark.train.registry import trainer

DIM = 8
NAME = "tokenizer.name=rq_kmeans"  # the quickest one stands in for those that learn from events


class Stopped(Exception):
    """Raised in place of training, with what it was given."""


@pytest.fixture
def learning(monkeypatch):
    """As if rq_kmeans learned from events."""
    monkeypatch.setitem(KINDS, "rq_kmeans", replace(KINDS["rq_kmeans"], events="used"))


@pytest.fixture
def folder(tmp_path):
    """Items and events on disk; item-00000 has no event."""
    rows = plain(200, DIM)
    random = np.random.default_rng(1)
    seen = random.choice(rows.ids[1:], 1500).tolist()
    table = {"user_id": random.integers(60, size=1500), "item_id": seen, "timestamp": np.arange(1500)}
    write(pa.table(table), tmp_path / "events", 3)
    write(rows, tmp_path / "items", 2)
    return tmp_path, rows, seen


def test_the_sample_step_leaves_what_training_is_given(spark, folder, learning, monkeypatch):
    base, _, seen = folder
    sets = (f"events.path={base}/events", f"store.out={base}/out", "sample.size=120", "events.max_pairs=400", NAME)
    chosen, now = config(f"{base}/items", *sets), datetime(2026, 1, 1, tzinfo=timezone.utc)
    run, catalogue = pipeline.begin(spark, chosen, date(2026, 1, 1), now, SILENT)
    with run.tidied():
        pipeline.sample(run, catalogue)

    def stop(sample, *_):
        raise Stopped(sample)

    monkeypatch.setattr(pipeline, "split", stop)
    with pytest.raises(Stopped) as given:
        pipeline.train(run)
    (sample,) = given.value.args
    tables = {name: rows_of(base / "out", name, run.state.run_id) for name in ("sample", *run.state.table_versions)}

    counts = Counter(seen)
    assert {row["item_id"]: row["exposure"] for row in tables["sample"]} == {
        row["item_id"]: float(counts[row["item_id"]]) for row in tables["sample"]
    }
    by_key = sorted(tables["sample"], key=lambda row: row["sample_key"])
    assert sample.exposure.tolist() == [row["exposure"] for row in by_key]
    assert sample.split_key.tolist() == [row["split_key"] for row in by_key]

    items, pairs = (tables[table.name] for table in (BEHAVIOUR_ITEMS, BEHAVIOUR_PAIRS))
    assert len(items) in (119, 120)
    assert {row[end] for row in pairs for end in ("item_id", "next_item_id")} == {row["item_id"] for row in items}
    assert [len(sample.behaviour.pairs), len(sample.behaviour.held_out_pairs)] == [
        sum(row["held_out"] == kind for row in pairs) for kind in (False, True)
    ]
    shared = {row["item_id"]: row["split_key"] for row in items}
    keys = [shared[row["item_id"]] for row in tables["sample"] if row["item_id"] in shared]
    assert keys == [row["split_key"] for row in tables["sample"] if row["item_id"] in shared]
    for table in (BEHAVIOUR_ITEMS, BEHAVIOUR_PAIRS):
        fields = json.loads(DeltaTable(f"{base}/out/tables/{table.name}").schema().to_json())["fields"]
        assert [field["name"] for field in fields] == table.column_names()
        assert [field["metadata"]["comment"] for field in fields] == [column.comment for column in table.columns]


def counted_view(spark, path, marks):
    """Name of a view of the events that leaves a file at every scan."""
    source = spark.read.parquet(path)

    def scan(batches):
        (marks / uuid4().hex).touch()
        yield from batches

    marks.mkdir()
    source.coalesce(1).mapInArrow(scan, source.schema).createOrReplaceTempView("counted_events")
    return "counted_events"


def test_a_run_reads_its_events_once_for_what_they_are_and_once_for_all_steps(spark, folder, learning, tmp_path):
    base, rows, seen = folder
    view = counted_view(spark, f"{base}/events", tmp_path / "scans")
    sets = (f"events.path={view}", f"store.out={base}/out", "sample.size=120", "events.max_pairs=400", NAME)
    chosen, now = config(f"{base}/items", *sets), datetime(2026, 1, 1, tzinfo=timezone.utc)
    run, catalogue = pipeline.begin(spark, chosen, date(2026, 1, 1), now, SILENT)
    with run.tidied():
        pipeline.sample(run, catalogue)
        folder_of_it = save_tokenizer(ready_tokenizer(rows.matrix()), run.store.tokenizers)
        run.state = replace(run.state, tokenizer_id=Path(folder_of_it).name)
        pipeline.assign(run, catalogue)
        pipeline.measure(run, catalogue)
    assert len(list((tmp_path / "scans").iterdir())) == 2
    exposure = {row["item_id"]: row["exposure"] for row in rows_of(base / "out", "sids", run.state.run_id)}
    assert exposure == {item: float(Counter(seen)[item]) for item in rows.ids}
    assert any(row.metric == "behaviour_pairs" and row.value > 100 for row in run.figures())


def test_events_without_a_pair_are_refused_and_nothing_is_written(spark, folder, learning):
    base, rows, _ = folder
    events = pa.table({"user_id": range(9), "item_id": rows.ids[:9], "timestamp": range(9)})
    arguments = ["--items", f"{base}/items", "--events", write(events, base / "single"), "--out", f"{base}/out"]
    code, _, said = command(["run", *arguments, "--tokenizer", "rq_kmeans", "--codes", "6"])
    assert (code, said.count("\n")) == (3, 1)
    assert "no two events of a user follow one another" in said
    assert not (base / "out").exists()


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_tokenizer_that_needs_events_says_so_before_anything_is_read(spark, tmp_path, monkeypatch, more):
    monkeypatch.setitem(KINDS, "rq_kmeans", replace(KINDS["rq_kmeans"], events="needed"))
    arguments = ["--items", "/no/such/items", "--out", str(tmp_path / "out"), "--tokenizer", "rq_kmeans", *more]
    code, _, said = command(["run", *arguments])
    assert (code, said.count("\n")) == (2, 1)
    assert "learns from events and there are none: give --events PATH_OR_TABLE" in said


def test_the_memory_check_counts_pairs_and_the_items_in_them(learning):
    with_events = config("items", "events.path=events", "events.max_pairs=100", "events.holdout=0.25", NAME)
    assert behaviour_bytes(1000, 10, with_events) == 2 * 1000 * 10 * 4 + 2 * 125 * 2 * 8
    assert behaviour_bytes(1000, 10, config("items", NAME)) == 0
    chosen = trainer("rq_kmeans")
    assert memory_needed(chosen, 1000, 10, with_events) == chosen.memory_bytes(1000, 10, with_events) + 84_000
