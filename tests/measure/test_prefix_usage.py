"""Use of prefixes by Spark against counts by hand."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from measure.small_sids import CODES, SHOWN, SIZES, sids
from pyspark.sql import functions as F

from drq_spark.measure.collisions.sid_counts import sid_counts
from drq_spark.measure.information.prefix_usage import prefix_sums, shorter_prefixes


def test_prefixes_of_every_length_are_counted(spark):
    per_sid = sid_counts(sids(spark, SHOWN), None)
    whole = per_sid.select(F.lit(2).alias("level"), F.col("sid").alias("prefix"), "items", "exposure")
    rows = shorter_prefixes(per_sid, SIZES).unionByName(whole).collect()
    found = {(row.level, row.prefix): (row["items"], row.exposure) for row in rows}
    assert found == {
        (1, 0): (3, 5.0),
        (1, 2): (4, 2.5),
        (2, 0): (2, 1.0),
        (2, 3): (1, 4.0),
        (2, 9): (3, 0.0),
        (2, 10): (1, 2.5),
    }


def test_sums_over_prefixes_are_those_of_the_counts(spark):
    per_sid = sid_counts(sids(spark, SHOWN), None)
    whole = prefix_sums(shorter_prefixes(per_sid, SIZES), per_sid, 2)[1]
    n, e = list(Counter(CODES.values()).values()), [1.0, 4.0, 2.5]
    assert (whole.occupied, whole.items) == (4, 7)
    assert whole.sum_n_log_n == pytest.approx(sum(v * math.log(v) for v in n), rel=1e-12)
    assert whole.exposure == sum(e)
    assert whole.exposure_log == pytest.approx(sum(v * math.log(v) for v in e), rel=1e-12)


def test_one_level_has_no_shorter_prefix(spark):
    per_sid = sid_counts(sids(spark, SHOWN), None)
    shorter = shorter_prefixes(per_sid, (12,))
    assert shorter.count() == 0
    assert [sums.occupied for sums in prefix_sums(shorter, per_sid, 1)] == [4]
