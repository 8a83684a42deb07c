"""Figures of drawn items are the same to the bit, whether their embeddings were picked out before or not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from measure.subjects import items_frame, sids_frame, subject_of
from pyspark.sql import functions as F
from tokenizer.samples import plain

from drq_spark.measure import foreseen
from drq_spark.measure.capacity import sigma
from drq_spark.measure.step import Known, measured
from drq_spark.schemas import METRICS

ITEMS = 600
FEW = 400  # as many rows are not worth a copy of what is drawn
SETTINGS = {
    "etas": [0.5], "rhos": [0.3], "headline_eta": 0.5, "perturbed_items": 100, "overlap_items": 100,
    "neighbour_queries": 5, "ranked_pairs": 20, "scored_pairs": 30,
}  # fmt: skip


@pytest.fixture
def world(spark, tmp_path, monkeypatch):
    """What is measured, with pairs, rows without a usable embedding, and a second version of some items."""
    for module in (foreseen, sigma):
        monkeypatch.setattr(module, "MOST_ITEMS", 50)
    random, tokenizer = np.random.default_rng(3), plain()
    x = random.normal(size=(ITEMS, tokenizer.dim)).astype(np.float32).round(1)
    codes = tokenizer.encode(x).codes
    pairs = [
        (f"i{a:04d}", f"i{b:04d}", int(key), int(key) % 9, bool(key % 2))
        for key, (a, b) in enumerate(random.integers(ITEMS, size=(200, 2)))
        if a != b
    ]
    held_out = "item_id string, next_item_id string, pair_key bigint, user_key bigint, held_out boolean"

    more = {"suffix": F.lit(0), "margin": F.array(*[F.lit(0.1).cast("float")] * 3), "residual_norm": F.lit(0.5)}

    def subject(name: str):
        sids = sids_frame(spark, tokenizer, codes, np.arange(ITEMS) % 7 / 2).withColumns(more)
        return subject_of(
            sids, tokenizer, tmp_path / name, SETTINGS,
            items=items_frame(spark, [*x, None, x[0][:2]]), pairs=spark.createDataFrame(pairs, held_out),
            after=items_frame(spark, x[: ITEMS // 2] + np.float32(0.1)),
        )  # fmt: skip

    return subject


def figures_of(subject, rows_in: int):
    tables = {}

    def keep(table, df):
        tables[table] = df
        return df

    known = Known(rows_in, 0, sample_mean_square=6.0)
    measured(subject, known, lambda *part, **figures: None, keep)
    return sorted(map(repr, tables[METRICS].collect()))


def test_figures_are_the_same_where_the_assignment_kept_the_embeddings(world, tmp_path):
    """They are read again where one that is drawn is not among them."""
    read = figures_of(world("read"), FEW)
    drawn = sigma.items_of_scales(world("drawn"))[0].first().item_id
    for name, missing, rows in (("all", None, 100 * ITEMS), ("fewer", drawn, 100 * ITEMS), ("few", drawn, FEW)):
        subject = world(name)
        kept = subject.items.where(f"item_id < 'i{ITEMS:04d}' AND item_id <> '{missing}'")
        assert figures_of(replace(subject, picked=kept), rows) == read
        assert (tmp_path / name / "picked_items").exists() is (missing is not None)


def test_figures_are_the_same_of_the_usable_embeddings_alone(world):
    read, subject = figures_of(world("read"), FEW), world("usable")
    assert figures_of(replace(subject, items=subject.items.where(f"item_id < 'i{ITEMS:04d}'")), FEW) == read


def test_figures_are_the_same(spark, world, tmp_path):
    read, picked = (figures_of(world(name), rows) for name, rows in (("read", FEW), ("picked", 100 * ITEMS)))
    assert picked == read
    for name in ("bucket_spread", "flip_rate", "sigma", "neighbour_recall_20", "auc_raw_popularity"):
        assert any(f"metric='{name}'" in row for row in read)
    assert not (tmp_path / "read" / "picked_items").exists()
    rows = spark.read.parquet(str(tmp_path / "picked" / "picked_items"))
    assert 50 < rows.count() == rows.distinct().count() < ITEMS
