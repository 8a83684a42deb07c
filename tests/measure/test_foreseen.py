"""What is foreseen has all that is drawn, whatever rows turn out to have no usable embedding."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from measure.subjects import items_frame, sids_frame
from tokenizer.samples import plain

from drq_spark.config import Config
from drq_spark.inputs.items import Catalogue
from drq_spark.measure import foreseen as module
from drq_spark.measure.behaviour.judged import choose
from drq_spark.measure.capacity import sigma
from drq_spark.measure.foreseen import foreseen
from drq_spark.measure.perturbation.flips import perturbed_items, share_of_items
from drq_spark.measure.subject import Subject
from drq_spark.staging import Staging

ITEMS, BAD = 6000, 180
MEASURE = {"perturbed_items": 300, "neighbour_queries": 5, "ranked_pairs": 30, "scored_pairs": 60}


@pytest.fixture(params=[False, True], ids=["alone", "events"])
def world(request, spark, tmp_path, monkeypatch):
    """A catalogue of which some rows will get no SID, and what is measured of the others."""
    for place in (module, sigma):
        monkeypatch.setattr(place, "MOST_ITEMS", 50)
    random, tokenizer = np.random.default_rng(5), plain()
    x = random.normal(size=(ITEMS, tokenizer.dim)).astype(np.float32)
    settings = {"measure": {**MEASURE, "embeddings_after": "later"}, "events": {"holdout": 0.2}, "seed": 4}
    config, items = Config.model_validate(settings), items_frame(spark, x, 3)
    pairs = None
    if request.param:
        rows = [
            (f"i{a:04d}", f"i{b:04d}", int(key), int(key) % 9, bool(key % 2))
            for key, (a, b) in enumerate(random.integers(ITEMS, size=(900, 2)))
            if a != b
        ]
        kinds = "item_id string, next_item_id string, pair_key bigint, user_key bigint, held_out boolean"
        pairs = spark.createDataFrame(rows, kinds)
    bad = {f"i{number:04d}" for number in random.choice(ITEMS, BAD, replace=False)}
    codes = tokenizer.encode(x).codes
    sids = sids_frame(spark, tokenizer, codes, None)
    sids = sids.where(~sids.item_id.isin(bad))
    subject = Subject(
        sids, tokenizer.codebook_sizes, "string", config, Staging(str(tmp_path)), tokenizer, tokenizer.dim,
        items=items, pairs=pairs, after=items,
    )  # fmt: skip
    events = None if pairs is None else SimpleNamespace(pairs=lambda: pairs)
    return Catalogue(items, items.limit(0), "string", SimpleNamespace(rows=ITEMS), events=events), subject


def test_it_has_all_that_is_drawn_and_not_much_more(world):
    catalogue, subject = world
    marked = foreseen(subject.config, catalogue)
    assert marked.where("wanted IS NULL").isEmpty()
    assert marked.drop("wanted").columns == catalogue.df.columns
    wanted = {row.item_id for row in marked.where("wanted").select("item_id").collect()}
    drawn = [*sigma.items_of_scales(subject), perturbed_items(subject, share_of_items(subject))]
    drawn.append(choose(subject).ids(subject))
    ids = {row.item_id for items in drawn for row in items.select("item_id").collect()}
    assert ids <= wanted
    assert len(wanted) < 1.6 * len(ids)
    assert marked.count() == ITEMS


def test_of_a_catalogue_that_is_smaller_than_what_is_drawn_it_is_all(world):
    catalogue, subject = world
    few = replace(catalogue, profile=SimpleNamespace(rows=MEASURE["perturbed_items"]))
    assert foreseen(subject.config, few).where("NOT wanted").isEmpty()
