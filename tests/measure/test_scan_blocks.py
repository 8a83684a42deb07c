"""A block with more rows than are kept: the best of every query are among the candidates, however rows are cut."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from drq_spark.measure.behaviour.scans_worker import KEEP, Candidates, Questions, Scan, nearest_items
from drq_spark.vectors import unit_rows


@pytest.mark.parametrize("rows_a_block", [150, 230, 1000])
def test_the_best_of_every_query_are_those_of_a_full_sort(rows_a_block: int) -> None:
    random = np.random.default_rng(3)
    vectors, query = unit_rows(random.normal(size=(1000, 6))), unit_rows(random.normal(size=(4, 6)))
    candidates = Candidates(len(query), nearest_items)
    scan = Scan(Questions(np.empty((0, 6)), np.empty(0), query), 0, candidates)
    ids = np.arange(1000)
    for start in range(0, 1000, rows_a_block):
        block = slice(start, start + rows_a_block)
        own = pa.array(ids[block])
        scan.add(vectors[block], np.ones(len(own)), {"key": own, "item_id": own})
    found = candidates.lists()
    assert found is not None
    for row, one in enumerate(query):
        expected = np.argsort(-(vectors @ one), kind="stable")[:KEEP]
        assert found["item_id"][row].values.to_pylist() == expected.tolist()
