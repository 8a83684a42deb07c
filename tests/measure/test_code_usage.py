"""Use of codes by Spark against counts by hand."""

from __future__ import annotations

from measure.small_sids import SHOWN, SIZES, sids

from drq_spark.measure.usage.code_usage import usage_table
from drq_spark.measure.usage.segments import usage_by_segment


def test_every_code_has_its_count_and_unused_ones_have_0(spark):
    usage = usage_by_segment(sids(spark, SHOWN), SIZES, None)[0]
    assert [level.items.tolist() for level in usage] == [[3, 0, 4], [2, 3, 1, 1]]
    assert [level.exposure.tolist() for level in usage] == [[5.0, 0.0, 2.5], [1.0, 0.0, 2.5, 4.0]]


def test_without_exposure_there_is_none(spark):
    usage = usage_by_segment(sids(spark, {}), SIZES, None)[0]
    assert [level.exposure for level in usage] == [None, None]


def test_the_table_lists_every_code(spark):
    rows = usage_table(spark, usage_by_segment(sids(spark, SHOWN), SIZES, None)[0]).collect()
    assert [(row.level, row.code) for row in rows] == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (2, 3)]
