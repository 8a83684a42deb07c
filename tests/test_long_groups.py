"""Groups that are too long for one task: which they are, and what comes first in each."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import Row

from drq_spark import long_groups
from drq_spark.long_groups import first_of_groups, long_among


@pytest.mark.parametrize(("rows", "found"), [(2_000_000, (3, 8)), (10**11, (3,)), (10**13, ())])
def test_a_bucket_is_long_beside_the_others(rows, found):
    full = [Row(bucket=8, rows=1_000_001), Row(bucket=3, rows=10**8), Row(bucket=5, rows=1_000_000)]
    assert long_among(full, rows) == found


def test_the_first_of_every_group_are_those_of_one_sort(spark, monkeypatch):
    monkeypatch.setattr(long_groups, "_SALTS", 3)
    random = np.random.default_rng(1)
    rows = [(int(group), int(place)) for group, place in zip(random.integers(4, size=90), range(90), strict=True)]
    df = spark.createDataFrame(rows, "part int, number int").repartition(5)
    found = [tuple(row) for row in first_of_groups(df, "part", ["number"], 7).orderBy("part", "number").collect()]
    first = [sorted(number for group, number in rows if group == part)[:7] for part in range(4)]
    expected = [(part, number, place) for part in range(4) for place, number in enumerate(first[part], start=1)]
    assert found == expected
