"""Parts that Spark writes, joined in their order whatever the blocks are."""

from __future__ import annotations

import io

import pytest

from drq_spark.export import ordered_parts
from drq_spark.export.ordered_parts import batches, join_lines, write_ordered


@pytest.mark.parametrize("block", [1, 2, 3, 10, 2**20])
def test_texts_are_joined_in_order_with_a_separator_between_two(spark, tmp_path, monkeypatch, block):
    monkeypatch.setattr(ordered_parts, "_BLOCK_BYTES", block)
    lines = spark.createDataFrame([(f"{n:02d}é,\n"[n % 3 :],) for n in range(20)], "value string").repartition(5)
    stream = io.BytesIO()
    join_lines(lines.orderBy("value"), f"{tmp_path}/parts", ",\n", stream)
    assert stream.getvalue().decode() == ",\n".join(sorted(f"{n:02d}é,\n"[n % 3 :] for n in range(20)))


def test_no_text_is_nothing(spark, tmp_path):
    stream = io.BytesIO()
    join_lines(spark.createDataFrame([], "value string"), f"{tmp_path}/parts", ",\n", stream)
    assert stream.getvalue() == b""


def test_rows_are_numbered_as_they_come_back(spark, tmp_path):
    rows = spark.range(1000).selectExpr("(id * 37) % 1000 AS place", "id % 7 AS group").repartition(6)
    numbered = write_ordered(rows, ["group", "place"], f"{tmp_path}/parts")
    expected = sorted(((n * 37) % 1000, n % 7) for n in range(1000))
    expected = sorted(expected, key=lambda row: (row[1], row[0]))
    came = [(place, group) for batch in batches(f"{tmp_path}/parts") for place, group in batch_rows(batch)]
    assert came == expected
    assert [(row.place, row.group) for row in numbered.orderBy("number").collect()] == expected
    assert sorted(row.number for row in numbered.collect()) == list(range(1000))


def batch_rows(batch) -> list[tuple[int, int]]:
    return list(zip(batch.column("place").to_pylist(), batch.column("group").to_pylist(), strict=True))
