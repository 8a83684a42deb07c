"""The fingerprint of a table: equal for the same rows in any order, different for any others."""

from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from drq_spark.inputs.fingerprint import content_hash, sums, sums_of_groups


@pytest.fixture
def fingerprint(spark):
    """Of a table of one text column, whole or by groups of equal rows."""

    def found(rows, grouped=False):
        hashed = spark.createDataFrame([(row,) for row in rows], "text string").withColumn("hash", F.xxhash64("text"))
        if grouped:
            return content_hash(hashed.groupBy("text").agg(*sums(F.col("hash"))).agg(*sums_of_groups()).collect())
        return content_hash(hashed.agg(*sums(F.col("hash"))).collect())

    return found


@pytest.mark.parametrize("grouped", [False, True])
def test_two_equal_rows_in_place_of_two_other_equal_rows_are_another_table(fingerprint, grouped):
    """A bot's double click on one item instead of another: as many rows, and each pair cancels itself in the xor."""
    assert fingerprint(["a", "a", "b"], grouped) != fingerprint(["c", "c", "b"], grouped)


def test_the_order_and_the_grouping_of_rows_leave_no_mark(fingerprint):
    assert fingerprint(["a", "a", "b"]) == fingerprint(["b", "a", "a"]) == fingerprint(["a", "b", "a"], grouped=True)


def test_how_often_a_row_is_there_counts(fingerprint):
    assert len({fingerprint(rows) for rows in (["a"], ["a", "a"], ["a", "a", "a"], [])}) == 4
