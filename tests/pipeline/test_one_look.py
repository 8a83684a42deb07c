"""How often a run reads the embeddings: to sample, to assign, to rank."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timezone

import numpy as np
import pyarrow as pa
import pytest
from pipeline.catalogues import plain, write
from pipeline.direct import config
from pipeline.readings import counting

from drq_spark import pipeline
from drq_spark.measure import foreseen
from drq_spark.measure.capacity import sigma
from drq_spark.progress import SILENT

ITEMS, DIM = 2000, 8
FEW = (
    "measure.perturbed_items=150", "measure.overlap_items=120", "measure.neighbour_queries=30",
    "measure.ranked_pairs=30", "measure.scored_pairs=60", "sample.size=200", "tokenizer.name=rq_kmeans",
)  # fmt: skip


@pytest.fixture
def begun(spark, tmp_path, monkeypatch):
    """A run that writes a byte into a file for every embedding that it reads, of a catalogue with bad rows."""
    for module in (foreseen, sigma):
        monkeypatch.setattr(module, "MOST_ITEMS", 40)
    rows = plain(ITEMS, DIM).plus(["nan", "none"], [[float("nan")] * DIM, None])
    random = np.random.default_rng(2)
    seen = {"user_id": random.integers(90, size=3000), "item_id": random.choice(rows.ids, 3000).tolist()}
    write(pa.table({**seen, "timestamp": np.arange(3000)}), tmp_path / "events")
    chosen = config(
        write(rows, tmp_path / "items", 3), f"events.path={tmp_path}/events", f"store.out={tmp_path}/out", *FEW
    )
    run, catalogue = pipeline.begin(spark, chosen, date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=timezone.utc), SILENT)
    counted = catalogue.df.withColumn("embedding", counting(tmp_path / "read", "embedding"))
    return run, replace(catalogue, df=counted), tmp_path / "read"


def test_a_run_reads_the_embeddings_three_times_and_a_small_catalogue_twice(begun):
    """Figures are the same however their embeddings are read: `measure/test_picked_items.py`."""
    run, catalogue, read = begun

    def readings() -> float:
        return read.stat().st_size / (ITEMS + 2)

    with run.tidied():
        pipeline.sample(run, catalogue)
        pipeline.train(run)
        assert readings() == 1
        pipeline.assign(run, catalogue)
        assert readings() == 2
        pipeline.measure(run, catalogue)
        assert readings() == 3
        assert run.kept_embeddings is not None
        assert ITEMS / 10 < run.kept_embeddings.count() < ITEMS / 2
        more = run.config.measure.model_copy(update={"perturbed_items": ITEMS})  # as many as there are: all are kept
        run.config = run.config.model_copy(update={"measure": more})
        pipeline.assign(run, catalogue)
        pipeline.measure(run, catalogue)
        assert readings() == 4
        assert run.kept_embeddings.count() == ITEMS
    assert run.kept_embeddings is None
    names = {row.metric for row in run.figures()}
    assert {"bucket_spread", "sigma", "flip_rate", "neighbour_recall_20", "auc_raw_uniform"} <= names
