"""Parts that Spark writes, joined in their order whatever the blocks are."""

from __future__ import annotations

import io

import pytest

from drq_spark.export import ordered_parts
from drq_spark.export.ordered_parts import batches, join_parts, write_ordered


@pytest.mark.parametrize("block", [1, 2, 3, 10, 2**20])
@pytest.mark.parametrize("texts", [[], [""], ["", "é,\n", "x" * 20, "", ",", "last\n"]])
def test_texts_are_joined_in_order_with_a_separator_between_two(tmp_path, monkeypatch, texts, block):
    monkeypatch.setattr(ordered_parts, "_BLOCK_BYTES", block)
    for name in ("_SUCCESS", "part-00000-a.txt", *(f"part-{n:05d}-b.txt" for n in range(1, 4))):
        (tmp_path / name).write_text("")
    for number, text in enumerate(texts):
        with (tmp_path / f"part-{1 + number // 2:05d}-b.txt").open("a", encoding="utf-8") as file:
            file.write(text + ",\n")
    stream = io.BytesIO()
    join_parts(str(tmp_path), ",\n", stream)
    assert stream.getvalue().decode() == ",\n".join(texts)


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
