"""What is measured of SIDs alone, without a tokenizer or embeddings: as a small local program finds it."""

from __future__ import annotations

import pytest
from external.local import figures, random_codes
from pyspark.sql import functions as F

from drq_spark.config import load_config
from drq_spark.external.sid_map import sid_key
from drq_spark.measure.step import Known, measured
from drq_spark.measure.subject import Subject
from drq_spark.schemas import CODE_USAGE, METRICS, PREFIX_USAGE, SID_USAGE, SIDS
from drq_spark.staging import Staging

pytestmark = pytest.mark.timeout(1200)
PARTS = (
    "SIDs",
    "drawn items",
    "sigma",
    "use and collisions",
    "capacity of SIDs",
    "perturbation",
    "events",
    "ranks",
    "spread inside SIDs",
    "attributes",
)
QUICK = ("SIDs", "sigma", "use and collisions", "capacity of SIDs", "events")


def subject(spark, staging, codes, sizes, partitions, exposure=None):
    rows = [(item, list(row), (exposure or {}).get(item)) for item, row in codes.items()]
    df = spark.createDataFrame(rows, "item_id string, codes array<int>, exposure double").repartition(partitions)
    unknown = {column.name: F.lit(None).cast(column.type) for column in SIDS.columns if column.name == "embedding_hash"}
    numbered = df.withColumns({"sid": sid_key(sizes), "suffix": F.lit(0), **unknown})
    return Subject(numbered, sizes, "string", load_config(), Staging(str(staging)))


def tables_of(chosen, known, quick=False):
    """What is kept, by table, and what progress is told."""
    tables, told = {}, []

    def keep(table, df):
        tables[table] = df
        return df

    measured(chosen, known, lambda *part: told.append(part), keep, quick=quick)
    parts = QUICK if quick else PARTS
    assert told == [(name, place, len(parts)) for place, name in enumerate(parts, start=1)]
    assert list(tables)[-1] is METRICS  # what has it is whole
    return tables


def rows_of(tables, name):
    """(metric, level, weighting) -> value."""
    rows = tables[name].collect()
    found = {(row.metric, row.level, row.weighting): row.value for row in rows}
    assert len(found) == len(rows)
    assert {(row.eta, row.ruler, row.standard_error) for row in rows} == {(None, None, None)}
    return found


@pytest.mark.parametrize("partitions", [1, 3, 7])
@pytest.mark.parametrize("exposed", [False, True])
def test_every_figure_that_codes_have(spark, tmp_path, partitions, exposed):
    codes, sizes = random_codes(items=80), (8, 9, 6)
    exposure = {item: float(n % 7) for n, item in enumerate(codes)} if exposed else None
    tables = tables_of(subject(spark, tmp_path, codes, sizes, partitions, exposure), Known(100, 20))
    expected = figures(codes, sizes, exposure) | {("quarantine_rate", 0, "items"): 0.2}
    found = rows_of(tables, METRICS)
    assert {key: found.get(key) for key in expected} == pytest.approx(expected, rel=1e-9, abs=1e-12)
    for name in ("items", "unique_sids", "largest_bucket"):
        assert found[name, 0, "items"] == expected[name, 0, "items"]
    assert tables[CODE_USAGE].count() == sum(sizes)
    assert {row.level for row in tables[PREFIX_USAGE].collect()} == {1, 2}
    assert {row.distinct_embeddings for row in tables[SID_USAGE].collect()} == {None}


def test_the_two_collision_rates_of_a_map_made_by_hand(spark, tmp_path):
    """Ten items in buckets of 3, 2, 1, 1, 1, 1, 1: seven SIDs."""
    sids = [(0, 0)] * 3 + [(0, 1)] * 2 + [(0, 2), (1, 0), (1, 1), (1, 2), (2, 0)]
    codes = {f"i{n}": row for n, row in enumerate(sids)}
    found = rows_of(tables_of(subject(spark, tmp_path, codes, (3, 3), 2), Known(10, 0), quick=True), METRICS)
    assert found["duplicate_rate", 0, "items"] == pytest.approx(0.3)
    assert found["shared_rate", 0, "items"] == pytest.approx(0.5)
    assert found["largest_bucket", 0, "items"] == 3
    assert found["collision_mass", 0, "items"] == pytest.approx(0.18)


def test_a_collapsed_level_shows(spark, tmp_path):
    """A last level that spreads items hides a first one that does not: rates of collision alone look healthy."""
    codes = {f"i{n}": (0, n % 16, n // 16) for n in range(64)}
    found = rows_of(tables_of(subject(spark, tmp_path, codes, (16, 16, 16), 3), Known(64, 0)), METRICS)
    assert found["duplicate_rate", 0, "items"] == 0
    assert found["utilization", 1, "items"] == 1 / 16
    assert found["dead_codes", 1, "items"] == 15
    assert found["perplexity", 1, "items"] == pytest.approx(1)
    assert found["conditional_entropy", 1, "items"] == 0
    assert found["utilization", 2, "items"] == 1
