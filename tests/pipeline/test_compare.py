"""`drq compare` and `drq probe` from the command line to their pages, on the same runs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pipeline.catalogues import plain, settings, write

from drq_spark.cli import main
from drq_spark.probe.frozen_ranker import load_ranker
from drq_spark.schemas import PROBE_EVENTS, PROBE_FIGURES, PUBLISHED, RUNS, SAMPLE, SIDS
from drq_spark.store import Store


def write_events(ids, path: Path) -> str:
    """Four events of each of 240 users, one after another."""
    random, users = np.random.default_rng(0), np.repeat(np.arange(240), 4)
    item = [ids[n] for n in random.integers(len(ids), size=len(users))]
    pq.write_table(pa.table({"user_id": users, "item_id": item, "timestamp": np.arange(len(users))}), path)
    return str(path)


@pytest.fixture(scope="module")
def compared(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    rows = plain(400, 8)
    items, events = write(rows, folder / "items"), write_events(rows.ids, folder / "events.parquet")
    arguments = [
        "compare", "--tokenizers", "rq_kmeans,drq", "--seeds", "2", "--items", items, "--events", events,
        "--out", str(folder / "out"), "--codes", "8", *settings("train.behaviour.steps=60"),
    ]  # fmt: skip
    assert main(arguments) == 0
    return arguments


def test_every_tokenizer_is_measured_with_every_seed_and_nothing_is_published(spark, compared):
    out = compared[compared.index("--out") + 1]
    runs = Store(spark, out).read(RUNS).collect()
    assert sorted((_setting(run, "tokenizer", "name"), _setting(run, "seed")) for run in runs) == [
        ("drq", 0), ("drq", 1), ("rq_kmeans", 0), ("rq_kmeans", 1),
    ]  # fmt: skip
    assert {run.status for run in runs} == {"measured"}
    assert not Store(spark, out).exists(PUBLISHED)
    page = Path(out, "compare.html").read_text(encoding="utf-8")
    assert "rq_kmeans" in page
    assert page.count("<svg") >= 1


def test_both_tokenizers_of_a_seed_have_the_same_sample(spark, compared):
    out = compared[compared.index("--out") + 1]
    rows = Store(spark, out).read(SAMPLE).groupBy("item_id", "sample_key").count().collect()
    assert {row["count"] for row in rows} == {2}  # each seed has its own keys, and two runs that share them


def test_what_was_measured_is_not_done_again(spark, compared, capsys):
    store = Store(spark, compared[compared.index("--out") + 1])
    before, version = {(run.run_id, run.started_at) for run in store.read(RUNS).collect()}, store.version(SIDS)
    assert main(compared) == 0
    assert {(run.run_id, run.started_at) for run in store.read(RUNS).collect()} == before
    assert store.version(SIDS) == version
    shown = capsys.readouterr().out
    assert "relative MSE" in shown
    assert "rq_kmeans" in shown


def test_downstream_models_are_trained_once_on_the_runs_that_are_there(spark, compared, capsys):
    store = Store(spark, compared[compared.index("--out") + 1])
    before = {run.run_id for run in store.read(RUNS).collect()}
    asked = [
        "probe", *compared[1:], "--models", "popularity,tiger,hpmn_sid", "--epochs", "1", "--history", "5",
    ]  # fmt: skip
    assert main(asked) == 0
    assert "What SIDs are worth" in capsys.readouterr().out
    assert {run.run_id for run in store.read(RUNS).collect()} == before
    figures = store.read(PROBE_FIGURES).where("segment = 'all'").collect()
    assert Counter(row.model for row in figures) == {"popularity": 2 * 4, "tiger": 4 * (4 + 3), "hpmn_sid": 4 * 3}
    kept = [load_ranker(str(folder)) for folder in Path(store.rankers).iterdir()]
    assert {ranker.tokenizer_id for ranker in kept} == {row.tokenizer_id for row in figures}
    assert len(kept) == 4
    parts = store.read(PROBE_EVENTS).groupBy("run_id").pivot("part").count().collect()
    assert len(parts) == 2  # drawn once for each seed
    judging = [row.test for row in parts]  # the last event of each user that is held out from the tokenizers
    assert all(30 <= test < 80 for test in judging)
    assert [(row.validation, row.training) for row in parts] == [(test, 960 - 2 * test) for test in judging]
    assert {row.questions for row in figures} == set(judging)
    page = Path(store.out, "probe.html").read_text(encoding="utf-8")
    assert "What predicts" in page
    version = store.version(PROBE_FIGURES)
    assert main(asked) == 0
    assert store.version(PROBE_FIGURES) == version


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--models", "sasrecs"], "did you mean 'sasrec'?"),
        (["--models", "popularity"], "names none that uses SIDs"),
        (["--models", "tiger_attributes"], "set items.attributes"),
        (["--dials", "0,2"], "give numbers from 0 to 1"),
        (["--set", "events.holdout=0"], "drq probe asks only users of whom tokenizers have learned nothing"),
    ],
)
def test_what_cannot_be_probed_is_told_before_any_work(spark, compared, tmp_path, capsys, more, told):
    asked = ["probe", *compared[1:], *more]
    asked[asked.index("--out") + 1] = str(tmp_path / "out")
    assert main(asked) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("rq_kmean,drq", "no tokenizer is called 'rq_kmean'"),
        ("drq,drq", "each once"),
    ],
)
def test_names_are_checked_before_any_work(spark, compared, tmp_path, capsys, names, told):
    asked = [*compared]
    asked[2], asked[asked.index("--out") + 1] = names, str(tmp_path / "out")
    assert main(asked) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def _setting(run, *path):
    value = json.loads(run.config)
    for part in path:
        value = value[part]
    return value
