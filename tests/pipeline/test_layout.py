"""The same rows in any number of files and partitions, in any order: the same everything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from pipeline.catalogues import plain
from pipeline.direct import by_id, config
from pyspark.sql import functions as F

from drq_spark.assign.assignment import assign_items
from drq_spark.assign.suffix import with_suffix
from drq_spark.inputs.identity import content_fingerprint
from drq_spark.inputs.items import read_catalogue
from drq_spark.measure.aggregates import Segments, latent_scales
from drq_spark.measure.collisions.sid_counts import bucket_sums, sid_counts
from drq_spark.measure.figures import Aggregates, AssignmentTotals, all_figures
from drq_spark.measure.information.prefix_usage import prefix_sums, shorter_prefixes
from drq_spark.measure.subject import Subject
from drq_spark.measure.usage.segments import segment_thresholds, usage_by_segment
from drq_spark.sample.draw import draw_sample
from drq_spark.sample.load import load_sample
from drq_spark.staging import Staging
from drq_spark.tokenizer.artifact import tokenizer_id
from drq_spark.train.driver import train_tokenizer

pytestmark = pytest.mark.timeout(1200)
SETTINGS = ("items.exposure=exposure", "sample.size=250", "sample.exposure_power=0.5", "measure.etas=[0.5]")


@dataclass(frozen=True)
class Result:
    """All that a run finds out."""

    fingerprint: str
    histogram: dict[int, int]
    sampled: list[Any]
    sample: str
    tokenizer: str
    items: dict[Any, tuple[Any, ...]]
    quarantine: list[tuple[Any, ...]]
    figures: dict[tuple[Any, ...], float]


@pytest.fixture(scope="module")
def rows():
    """Items with repeated ids, NULL ids and bad rows."""
    x = plain(400, 8, exposed=True)
    some = list(x.embeddings[:6])
    return (
        x.plus(["twice"] * 3, some[:3], exposure=4.0)
        .plus(["same"] * 3, [some[3]] * 3, exposure=2.0)
        .plus([None, None], some[4:6])
        .plus(["nan", "short", "null"], [[float("nan")] * 8, [1.0], None])
    )


def result(spark, name, staging) -> Result:
    """Every step on a view."""
    settings = config(name, *SETTINGS, codes=6, levels=3)
    catalogue = read_catalogue(spark, settings)
    drawn = draw_sample(catalogue, settings, Staging(str(staging)))
    sample = load_sample(drawn, catalogue.profile.dim)
    sampled = sorted(row.item_id for row in drawn.select("item_id").collect())
    tokenizer = train_tokenizer(sample, settings)
    done = assign_items(catalogue, tokenizer, Staging(str(staging)))
    sids = with_suffix(done.rows, None, (), "rank0", Staging(str(staging))).cache()
    items = by_id(sids, "codes", "sid", "suffix", "margin", "residual_norm", "exposure", "embedding_hash")
    quarantine = sorted((row.item_id or "", row.reason) for row in done.quarantined.collect())
    figures = figures_of(sids, done, tokenizer, len(quarantine), settings)
    sids.unpersist()
    profile = catalogue.profile
    return Result(
        content_fingerprint(catalogue),
        dict(profile.key_histogram),
        sampled,
        sample.fingerprint,
        tokenizer_id(tokenizer),
        items,
        quarantine,
        figures,
    )


def figures_of(sids, done, tokenizer, quarantined, settings):
    """(metric, level, weighting, eta) -> value."""
    sizes = tokenizer.codebook_sizes
    subject = Subject(sids, sizes, "string", settings, "", tokenizer)
    thresholds = segment_thresholds(sids)
    per_sid = sid_counts(sids, thresholds)
    usage, of_segments = usage_by_segment(sids, sizes, thresholds)
    totals = done.totals_table().first().asDict()
    counted = Aggregates(
        rows_in=sids.count() + quarantined,
        rows_quarantined=quarantined,
        usage=usage,
        prefixes=prefix_sums(shorter_prefixes(per_sid, sizes), per_sid, len(sizes)),
        buckets=bucket_sums(subject, per_sid),
        segments=Segments(thresholds, of_segments),
        totals=AssignmentTotals(
            **{name: np.array(value) if isinstance(value, list) else value for name, value in totals.items()}
        ),
        churn=None,
    )
    rows = all_figures(counted, tokenizer, latent_scales(tokenizer, settings.measure))
    return {(row.metric, row.level, row.weighting, row.eta): row.value for row in rows}


@pytest.fixture(scope="module")
def reference(spark, rows, tmp_path_factory):
    """One partition, in order."""
    source(spark, rows, 1, sort=True).createOrReplaceTempView("layout_1")
    return result(spark, "layout_1", tmp_path_factory.mktemp("one"))


def source(spark, rows, partitions, *, sort):
    """The rows as a DataFrame of so many partitions: ranges of ids, or in any order with most partitions empty."""
    df = spark.createDataFrame(rows.table() if sort else rows.shuffled(partitions).table())
    if sort:
        return df.repartitionByRange(partitions, "item_id")
    spread = df.repartition(partitions, F.substring("item_id", -1, 1))
    assert df.count() > partitions > 2 * spread.select(F.spark_partition_id()).distinct().count()
    return spread


@pytest.fixture(params=[(3, True), (40, False)], ids=["3-sorted", "40-shuffled-most-empty"], scope="module")
def other(request, spark, rows, tmp_path_factory):
    """Another layout, with other Arrow batches."""
    partitions, sort = request.param
    df = source(spark, rows, partitions, sort=sort)
    assert df.rdd.getNumPartitions() == partitions
    df.createOrReplaceTempView(f"layout_{partitions}")
    before = spark.conf.get("spark.sql.execution.arrow.maxRecordsPerBatch")
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "7")
    yield result(spark, f"layout_{partitions}", tmp_path_factory.mktemp("other"))
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", before)


def test_the_input_has_the_same_fingerprint(reference, other):
    assert (other.fingerprint, other.histogram) == (reference.fingerprint, reference.histogram)


def test_the_sample_has_the_same_rows_in_the_same_order(reference, other):
    assert len(reference.sampled) == 250
    assert other.sampled == reference.sampled
    assert other.sample == reference.sample


def test_the_tokenizer_has_the_same_bits(reference, other):
    assert other.tokenizer == reference.tokenizer


def test_codes_suffixes_margins_and_kept_duplicates_are_the_same_to_the_bit(reference, other):
    assert len(reference.items) == 402
    assert other.items == reference.items


def test_the_same_rows_are_set_aside(reference, other):
    assert len(reference.quarantine) == 9
    assert other.quarantine == reference.quarantine


def test_figures_are_the_same_counts_exactly_and_sums_to_1e_9(reference, other):
    assert other.figures == pytest.approx(reference.figures, rel=1e-9, abs=1e-13)
    for name in ("items", "unique_sids", "largest_bucket"):
        assert other.figures[name, 0, "items", None] == reference.figures[name, 0, "items", None]
