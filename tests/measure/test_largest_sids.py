"""The SIDs with the most items, by hand."""

from __future__ import annotations

from measure.small_sids import SHOWN, sids

from drq_spark.measure.collisions.largest_sids import largest_sids
from drq_spark.measure.collisions.sid_counts import sid_counts


def test_the_largest_come_first_and_ties_go_by_key(spark):
    given = sids(spark, SHOWN)
    rows = largest_sids(given, sid_counts(given, None), 3).orderBy("rank").collect()
    assert [(row["rank"], tuple(row.codes), row["items"]) for row in rows] == [
        (1, (2, 1), 3),
        (2, (0, 0), 2),
        (3, (0, 3), 1),
    ]
    assert [row.examples for row in rows] == [["d", "e", "f"], ["a", "b"], ["c"]]
    assert [row.distinct_embeddings for row in rows] == [2, 1, 1]
