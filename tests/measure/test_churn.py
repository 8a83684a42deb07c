"""What became of the items of two runs, counted by hand."""

from __future__ import annotations

import pytest

from drq_spark.measure import churn
from drq_spark.measure.churn import changes, of_both, of_night
from drq_spark.staging import Staging

BEFORE = {"a": (0, 0), "b": (0, 0), "c": (0, 3), "d": (2, 1), "e": (2, 1)}
AFTER = {"a": (0, 0), "b": (1, 0), "c": (0, 2), "d": (2, 1), "new": (1, 1)}


def sids(spark, codes):
    return spark.createDataFrame([(item, list(row)) for item, row in codes.items()], "item_id string, codes array<int>")


@pytest.fixture
def found(spark, tmp_path):
    """Between the two maps, by levels of so many codes."""
    return lambda *sizes: changes(of_both(sids(spark, BEFORE), sids(spark, AFTER)), sizes, Staging(str(tmp_path)))


def test_changes_are_counted_per_level_for_the_items_of_both_runs(found):
    first, second = found(3, 4).tables
    assert first.tolist() == [[2, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert second.tolist() == [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]]


def test_items_whose_whole_sid_differs_have_moved(found):
    whole = found(3, 4)
    assert (whole.items, whole.moved) == (4, 2)


def test_runs_of_other_shapes_are_compared_as_a_whole(found):
    whole = found()
    assert (whole.tables, whole.items, whole.moved) == ((), 4, 2)


def test_levels_too_wide_to_match_are_left_out(found, monkeypatch):
    monkeypatch.setattr(churn, "_MOST_MATCHED_CODES", 3)
    whole = found(3, 4)
    assert [table is None for table in whole.tables] == [False, True]
    assert (whole.items, whole.moved) == (4, 2)


def test_runs_without_a_common_item_have_no_changes(spark, tmp_path):
    whole = changes(of_both(sids(spark, {"x": (0, 0)}), sids(spark, AFTER)), (3, 4), Staging(str(tmp_path)))
    assert (whole.items, whole.moved) == (0, 0)
    assert [int(table.sum()) for table in whole.tables] == [0, 0]


def test_a_night_has_the_pairs_of_both_runs(spark):
    schema = "item_id string, codes array<int>, gone_nights int"
    base = spark.createDataFrame(
        [
            ("stays", [0, 1], 0),
            ("moves", [0, 2], 0),
            ("leaves", [1, 1], 0),
            ("returns", [2, 2], 3),
            ("away", [2, 1], 1),
        ],
        schema,
    )
    night = spark.createDataFrame(
        [("moves", [1, 2], 0), ("leaves", [1, 1], 1), ("returns", [2, 2], 0), ("new", [0, 0], 0)], schema
    )
    for few in (True, False):
        found = sorted((tuple(row.old), tuple(row.new)) for row in of_night(base, night, few=few).collect())
        assert found == [((0, 1), (0, 1)), ((0, 2), (1, 2))]
