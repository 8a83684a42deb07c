"""A run gives what it gave before the layout of rooms: every table, row by row, from the same tokenizer."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from golden.make_run import TABLES, golden_rows

GOLDEN = Path(__file__).parent / "run.jsonl"


@pytest.fixture(scope="module")
def found(spark, tmp_path_factory):
    """Rows of the run, as JSON gives them back."""
    return json.loads(json.dumps(golden_rows(spark, tmp_path_factory.mktemp("golden"))))


@pytest.fixture(scope="module")
def expected():
    """Rows as they were."""
    rows = {name: [] for name in TABLES}
    for line in GOLDEN.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        rows[entry["table"]].append(entry["row"])
    return rows


@pytest.mark.parametrize("table", TABLES)
def test_rows_are_those_from_before(found, expected, table):
    assert len(found[table]) == len(expected[table]) > 0
    for now, before in zip(found[table], expected[table], strict=True):
        assert same(now, before), (now, before)


def same(now: object, before: object) -> bool:
    """Equal; numbers that are sums of floats up to the order of summation."""
    if isinstance(now, list) and isinstance(before, list):
        return len(now) == len(before) and all(map(same, now, before))
    if isinstance(now, float) and isinstance(before, float):
        return math.isclose(now, before, rel_tol=1e-9, abs_tol=1e-12)
    return now == before
