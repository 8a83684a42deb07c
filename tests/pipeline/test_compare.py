"""`drq compare` from the command line to the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pipeline.catalogues import plain, settings, write

from drq_spark.cli import main
from drq_spark.schemas import PUBLISHED, RUNS, SAMPLE, SIDS
from drq_spark.store import Store


@pytest.fixture(scope="module")
def compared(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    items = write(plain(400, 8), folder / "items")
    arguments = [
        "compare", "--tokenizers", "rq_kmeans,drq", "--seeds", "2", "--items", items, "--out", str(folder / "out"),
        "--codes", "8", *settings(),
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


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("rq_kmean,drq", "no tokenizer is called 'rq_kmean'"),
        ("drq,drq", "each once"),
        ("drq_vae_cl", "learns from events"),
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
