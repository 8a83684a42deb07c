"""The items with the smallest margins, by hand."""

from __future__ import annotations

import math

import pytest

from drq_spark.measure.perturbation.items_at_risk import items_at_risk
from drq_spark.schemas import ITEMS_AT_RISK

PARTITIONS = (1, 3, 7)


class TestItemsAtRisk:
    ROWS = (
        ("a", [5, 6], [0.5, 0.25], 1.0),
        ("b", [1, 2], [0.125, 0.125], None),
        ("c", [3, 4], [math.nan, 0.75], 2.0),
        ("d", [0, 0], [None, 0.0], 3.0),
        ("e", [0, 1], [0.9, 0.125], 3.0),
        ("lost", [7, 7], [math.nan, None], 9.0),
    )

    @pytest.mark.parametrize("partitions", PARTITIONS)
    def test_the_smallest_margins_come_first_and_ties_go_by_id(self, spark, partitions):
        schema = "item_id string, codes array<int>, margin array<float>, exposure double"
        found = items_at_risk(spark.createDataFrame(list(self.ROWS), schema).repartition(partitions), 4)
        names = ITEMS_AT_RISK.column_names()
        assert found.columns == [name for name in names if name not in ("run_id", "tokenizer_id")]
        types = {c.name: c.type for c in ITEMS_AT_RISK.columns}
        assert all(types[name].format(id="string") == kind for name, kind in found.dtypes)
        assert [tuple(row) for row in found.orderBy("rank").collect()] == [
            (1, "d", [0, 0], 2, 0.0, 3.0),
            (2, "b", [1, 2], 1, 0.125, None),
            (3, "e", [0, 1], 2, 0.125, 3.0),
            (4, "a", [5, 6], 2, 0.25, 1.0),
        ]

    def test_items_without_any_margin_are_left_out(self, spark):
        schema = "item_id string, codes array<int>, margin array<float>, exposure double"
        found = items_at_risk(spark.createDataFrame(list(self.ROWS), schema))
        assert [row.item_id for row in found.orderBy("rank").collect()] == ["d", "b", "e", "a", "c"]
