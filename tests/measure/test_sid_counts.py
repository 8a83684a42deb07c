"""Collisions, harmful and benign, against plain loops over the items."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from measure.catalogues import Made, layouts, made, segments, sharing
from tokenizer.samples import plain as some_tokenizer

from drq_spark.config import Config
from drq_spark.measure.aggregates import Mass, SegmentSums
from drq_spark.measure.collisions.sid_counts import bucket_sums, sid_counts
from drq_spark.measure.subject import Subject
from drq_spark.measure.usage.segments import segment_thresholds

PARETO = np.floor(np.random.default_rng(3).pareto(1.1, 150) * 5).tolist()
ALONE = Made(np.array([[1, 2]]), (3, 4), (2.0,), (5,))
CATALOGUES = {
    "few embeddings": made(150, PARETO, embeddings=15),
    "many embeddings": made(150, PARETO, embeddings=140),
    "no exposure": made(60, None, embeddings=20),
    "some exposure": made(60, [None if place % 2 else float(place) for place in range(60)], embeddings=20),
    "one item": ALONE,
    "all in one SID": Made(np.zeros((9, 2), int), (3, 4), (1.0,) * 9, tuple([1] * 8 + [2])),
    "exact duplicates alone": Made(np.zeros((9, 2), int), (3, 4), (0.0,) * 9, (1,) * 9),
    "all different": Made(np.array([[0, k] for k in range(4)]), (3, 4), (1.0, 2.0, 3.0, 4.0), (1, 2, 3, 4)),
}


def subject(spark, catalogue, partitions=1, *, elsewhere=False):
    """Assigned by a tokenizer, or by who knows what."""
    tokenizer = None if elsewhere else some_tokenizer(sizes=catalogue.sizes)
    return Subject(catalogue.sids(spark, partitions), catalogue.sizes, "bigint", Config(), "", tokenizer)


def measured(chosen):
    """As the pipeline does it."""
    return bucket_sums(chosen, sid_counts(chosen.sids, segment_thresholds(chosen.sids)))


def mass(catalogue, chosen):
    """Items and exposure of some items."""
    shown = [e for e, here in zip(catalogue.exposure, chosen, strict=True) if here and e is not None]
    known = any(e is not None for e in catalogue.exposure)
    return Mass(sum(chosen), pytest.approx(sum(shown), rel=1e-12) if known else None)


@pytest.mark.parametrize(("name", "partitions"), layouts(CATALOGUES, "few embeddings"))
def test_sums_over_buckets_are_those_of_the_items(spark, name, partitions):
    """In all, and by segment: an item of a segment shares with items of any."""
    catalogue = CATALOGUES[name]
    found = measured(subject(spark, catalogue, partitions))
    counts = Counter(catalogue.keys)
    shared, harmful = sharing(catalogue)
    assert (found.sids, found.largest) == (len(counts), max(counts.values()))
    assert found.sum_squares == sum(n * n for n in counts.values())
    assert found.all == mass(catalogue, [True] * len(catalogue))
    assert found.shared == mass(catalogue, shared)
    assert found.harmful == mass(catalogue, harmful)
    assert found.duplicates == mass(catalogue, [a and not b for a, b in zip(shared, harmful, strict=True)])
    assert found.distinct_embeddings == len(set(catalogue.embedding))
    if any(e is not None for e in catalogue.exposure):
        by_item = list(zip(catalogue.keys, catalogue.exposure, strict=True))
        shown = [sum(e or 0 for own, e in by_item if own == key) for key in counts]
        assert found.exposure_squares == pytest.approx(sum(e * e for e in shown), rel=1e-12)
    else:
        assert found.exposure_squares is None
    rows = list(zip(segments(catalogue.exposure), shared, harmful, strict=True))
    for part in ("head", "torso", "tail"):
        here = [row for row in rows if row[0] == part]
        assert found.segments[part] == SegmentSums(len(here), sum(row[1] for row in here), sum(row[2] for row in here))


def test_equal_embeddings_with_different_sids_from_elsewhere_count_once(spark):
    random = np.random.default_rng(5)
    catalogue = replace(made(80, None, embeddings=30), codes=random.integers(3, size=(80, 2)))
    found = measured(subject(spark, catalogue, 7, elsewhere=True))
    assert found.distinct_embeddings == len(set(catalogue.embedding))
    assert found.distinct_embeddings < len(set(zip(catalogue.keys, catalogue.embedding, strict=True)))


@pytest.mark.parametrize("unknown", [1, 60])
def test_without_the_embedding_of_an_item_nothing_is_said_about_embeddings(spark, unknown):
    known = CATALOGUES["no exposure"]
    catalogue = replace(known, embedding=(*[None] * unknown, *known.embedding[unknown:]))
    found = measured(subject(spark, catalogue, 3, elsewhere=True))
    assert found.harmful is found.duplicates is found.distinct_embeddings is None
    assert {part.harmful for part in found.segments.values()} == {None}
    assert found.shared == mass(known, sharing(known)[0])


def test_squares_of_counts_beyond_a_bigint_are_exact(spark):
    huge = spark.sql(
        "SELECT 0L AS sid, 4000000001L AS items, CAST(NULL AS double) AS exposure, 2L AS distinct_embeddings, "
        "0L AS head_items, 0L AS torso_items"
    )
    assert bucket_sums(subject(spark, ALONE), huge).sum_squares == 4_000_000_001**2
