"""Counts by Spark against counts by hand, on SIDs small enough to see."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from pyspark.sql import functions as F

from drq_spark.measure.collisions.sid_counts import sid_counts
from drq_spark.measure.usage import code_usage as aggregate
from drq_spark.tokenizer.keys import codes_to_keys

SIZES = (3, 4)
CODES = {"a": (0, 0), "b": (0, 0), "c": (0, 3), "d": (2, 1), "e": (2, 1), "f": (2, 1), "g": (2, 2)}
SHOWN = {"a": 1.0, "b": 0.0, "c": 4.0, "d": 0.0, "e": 0.0, "f": 0.0, "g": 2.5}
HASHES = {"a": 1, "b": 1, "c": 2, "d": 3, "e": 3, "f": 4, "g": 5}


def sids(spark, codes, exposure=None):
    """The columns of the sids table that are counted."""
    keys = codes_to_keys(np.array(list(codes.values())), SIZES).tolist()
    rows = [
        (item, list(code), key, (exposure or {}).get(item), HASHES.get(item, 0), number)
        for number, ((item, code), key) in enumerate(zip(codes.items(), keys, strict=True))
    ]
    schema = "item_id string, codes array<int>, sid bigint, exposure double, embedding_hash bigint, suffix int"
    return spark.createDataFrame(rows, schema)


@pytest.fixture(scope="module")
def counted(spark):
    """With exposure."""
    return sids(spark, CODES, SHOWN).cache()


class TestUsage:
    def test_every_code_has_its_count_and_unused_ones_have_0(self, counted):
        usage = aggregate.code_usage(counted, SIZES)
        assert [level.items.tolist() for level in usage] == [[3, 0, 4], [2, 3, 1, 1]]
        assert [level.exposure.tolist() for level in usage] == [[5.0, 0.0, 2.5], [1.0, 0.0, 2.5, 4.0]]

    def test_without_exposure_there_is_none(self, spark):
        usage = aggregate.code_usage(sids(spark, CODES), SIZES)
        assert [level.exposure for level in usage] == [None, None]

    def test_the_table_lists_every_code(self, spark, counted):
        rows = aggregate.usage_table(spark, aggregate.code_usage(counted, SIZES)).collect()
        assert [(row.level, row.code) for row in rows] == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (2, 3)]


class TestPrefixes:
    def test_prefixes_of_every_length_are_counted(self, counted):
        per_sid = sid_counts(counted, None)
        whole = per_sid.select(F.lit(2).alias("level"), F.col("sid").alias("prefix"), "items", "exposure")
        rows = aggregate.shorter_prefixes(per_sid, SIZES).unionByName(whole).collect()
        found = {(row.level, row.prefix): (row["items"], row.exposure) for row in rows}
        assert found == {
            (1, 0): (3, 5.0),
            (1, 2): (4, 2.5),
            (2, 0): (2, 1.0),
            (2, 3): (1, 4.0),
            (2, 9): (3, 0.0),
            (2, 10): (1, 2.5),
        }

    def test_sums_over_prefixes_are_those_of_the_counts(self, counted):
        per_sid = sid_counts(counted, None)
        whole = aggregate.prefix_sums(aggregate.shorter_prefixes(per_sid, SIZES), per_sid, 2)[1]
        n, e = list(Counter(CODES.values()).values()), [1.0, 4.0, 2.5]
        assert (whole.occupied, whole.items) == (4, 7)
        assert whole.sum_n_log_n == pytest.approx(sum(v * math.log(v) for v in n), rel=1e-12)
        assert whole.exposure == sum(e)
        assert whole.exposure_log == pytest.approx(sum(v * math.log(v) for v in e), rel=1e-12)

    def test_one_level_has_no_shorter_prefix(self, counted):
        per_sid = sid_counts(counted, None)
        shorter = aggregate.shorter_prefixes(per_sid, (12,))
        assert shorter.count() == 0
        assert [sums.occupied for sums in aggregate.prefix_sums(shorter, per_sid, 1)] == [4]


class TestBuckets:
    def test_the_largest_come_first_and_ties_go_by_key(self, counted):
        rows = aggregate.top_buckets(counted, sid_counts(counted, None), 3).orderBy("rank").collect()
        assert [(row["rank"], tuple(row.codes), row["items"]) for row in rows] == [
            (1, (2, 1), 3),
            (2, (0, 0), 2),
            (3, (0, 3), 1),
        ]
        assert [row.examples for row in rows] == [["d", "e", "f"], ["a", "b"], ["c"]]
        assert [row.distinct_embeddings for row in rows] == [2, 1, 1]
