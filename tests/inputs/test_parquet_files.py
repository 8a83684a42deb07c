"""Folders of files that do not look alike, as people have them."""

from __future__ import annotations

import decimal
import uuid
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from drq_spark.errors import InputRefused
from drq_spark.inputs.parquet_files import parquet_files
from drq_spark.inputs.tables import column, damage_refused, read_table

F32, F64 = pa.float32(), pa.float64()
HALVES = np.arange(2**16, dtype=np.uint16).view(np.float16)
WHAT = "items table"


def folder(place: Path, **tables: pa.Table) -> str:
    """A folder with a file for each table, in the order of their names."""
    place.mkdir(parents=True)
    for name, table in tables.items():
        pq.write_table(table, place / f"{name}.parquet")
    return str(place)


def table(**columns: tuple) -> pa.Table:
    return pa.table({name: pa.array(values, kind) for name, (kind, values) in columns.items()})


def values(spark, path: str, *names: str) -> list[tuple]:
    """Rows of some columns, each asked for as a step asks for it."""
    df = read_table(spark, path, WHAT)
    chosen = df.select(*[column(df, name, f"items.{name}", WHAT) for name in names])
    return sorted(map(tuple, chosen.collect()), key=str)


def test_files_of_two_types_are_read_as_the_wider_one(spark, tmp_path):
    big = 2**63 + 1
    path = folder(
        tmp_path / "items",
        a=table(i=(pa.int32(), [1]), x=(pa.list_(F32), [[0.5]]), u=(pa.uint64(), [big]), w=(F32, [0.25])),
        b=table(i=(pa.int64(), [2**40]), x=(pa.list_(F64), [[0.1]]), u=(pa.int64(), [-1]), w=(pa.int32(), [3])),
        c=table(i=(pa.uint8(), [3]), x=(pa.list_(F64, 1), [[2.0]]), u=(pa.int32(), [7]), w=(pa.null(), [None])),
    )
    assert values(spark, path, "i", "x", "u", "w") == [
        (1, [0.5], decimal.Decimal(big), 0.25),
        (2**40, [0.1], -1, 3.0),
        (3, [2.0], 7, None),
    ]


def test_columns_that_spark_does_not_describe_are_passed_over_and_read_where_they_are_asked_for(spark, tmp_path):
    ids = [uuid.UUID(int=2**100 + n) for n in range(3)]
    rows = pa.table(
        {
            "i": [1, 2, 3],
            "key": pa.array([one.bytes for one in ids], pa.uuid()),
            "at": pa.array([3, 2**60 + 1, None], pa.timestamp("ns")),
            "shown": pa.array([np.float16(0.1), None, np.float16(-2)]),
            "x": pa.array([[np.float16(0.1), np.float16(5.0)], None, [np.float16("nan")]], pa.list_(pa.float16())),
            "huge": pa.array([1, 2, 3], pa.decimal256(60, 0)),
            "m": pa.array([[("a", [1.0])]] * 3, pa.map_(pa.string(), pa.list_(F32))),
        }
    )
    path = folder(tmp_path / "items", a=rows)
    assert values(spark, path, "i") == [(1,), (2,), (3,)]
    found = values(spark, path, "i", "key", "at", "shown", "x")
    assert [row[:3] for row in found] == [(1, str(ids[0]), 3), (2, str(ids[1]), 2**60 + 1), (3, str(ids[2]), None)]
    assert [row[3] for row in found] == [float(np.float16(0.1)), None, -2.0]
    assert found[0][4] == [float(np.float16(0.1)), 5.0]
    assert found[1][4] is None
    assert np.isnan(found[2][4]).all()
    with pytest.raises(InputRefused, match=r"column 'huge' \(items.huge\) is decimal256\(60, 0\), which Spark"):
        values(spark, path, "huge")


def test_every_half_float_is_read_to_the_bit(spark, tmp_path):
    path = folder(tmp_path / "items", a=pa.table({"n": range(2**16), "h": pa.array(HALVES)}))
    df = read_table(spark, path, WHAT)
    read = df.select("n", "h").orderBy("n").toArrow().column("h").to_numpy()
    assert read.dtype == np.float32
    assert np.array_equal(read, HALVES.astype(np.float32), equal_nan=True)
    assert np.array_equal(np.signbit(read[~np.isnan(read)]), np.signbit(HALVES[~np.isnan(HALVES)]))


def test_files_that_disagree_are_named_with_both_types_and_only_where_the_column_is_needed(spark, tmp_path):
    path = folder(
        tmp_path / "items",
        a=table(i=(pa.int64(), [1]), name=(pa.string(), ["x"]), at=(pa.timestamp("us"), [1])),
        b=table(i=(pa.int64(), [2]), name=(pa.int64(), [5]), at=(pa.timestamp("ns"), [1])),
    )
    assert values(spark, path, "i") == [(1,), (2,)]
    with pytest.raises(InputRefused, match=r"column 'name' \(items.name\) is string in a.parquet and bigint in b.par"):
        values(spark, path, "name")
    with pytest.raises(InputRefused, match=r"timestamp_ntz in a.parquet and timestamp in nanoseconds in b.parquet"):
        values(spark, path, "at")


def test_columns_of_newer_files_are_read_and_files_without_rows_decide_nothing(spark, tmp_path):
    path = folder(
        tmp_path / "items",
        a=table(i=(pa.int64(), [1])),
        b=table(I=(pa.int32(), [2]), shown=(F32, [0.5])),
        c=table(i=(pa.null(), []), shown=(pa.string(), [])),
    )
    (tmp_path / "items" / "d.parquet").touch()
    (tmp_path / "items" / "_SUCCESS").touch()
    (tmp_path / "items" / "._SUCCESS.crc").write_bytes(b"crc\0")
    assert values(spark, path, "i", "shown") == [(1, None), (2, 0.5)]
    notes = parquet_files(spark, path, WHAT).notes(["i", "shown"])
    assert notes == (
        "1 of 4 files (first: d.parquet) of 0 bytes, without rows",
        "column 'shown' is missing in 1 of 4 files (first: a.parquet): NULL in their rows",
    )
    assert parquet_files(spark, path, WHAT).notes(["i"]) == notes[:1]


def test_partitions_in_folders_of_any_name_are_columns(spark, tmp_path):
    place = tmp_path / "a b%20ü#"
    folder(place / "day=2026-01-01", a=table(i=(pa.int32(), [1])))
    folder(place / "day=2026-01-02", a=table(i=(pa.int64(), [2])))
    assert [row[0] for row in values(spark, str(place), "i", "day")] == [1, 2]


def test_a_file_that_is_no_parquet_is_named(spark, tmp_path):
    path = folder(tmp_path / "items", a=table(i=(pa.int64(), [1])))
    (tmp_path / "items" / "README.md").write_text("what these files are")
    with pytest.raises(InputRefused, match=r"holds 'README.md', which is no Parquet file: take it out, or .* a glob"):
        read_table(spark, path, WHAT)
    assert values(spark, f"{path}/*.parquet", "i") == [(1,)]


@pytest.mark.parametrize(
    "content", [b"PAR1 and no more", b"written by half", b"PAR1" + b"\xff" * 64 + b"\x40\0\0\0PAR1"]
)
def test_a_damaged_file_is_named_before_any_work(spark, tmp_path, content):
    path = folder(tmp_path / "items", a=table(i=(pa.int64(), [1])))
    (tmp_path / "items" / "b.parquet").write_bytes(content)
    with pytest.raises(InputRefused, match=r"has a damaged file: file:.*b\.parquet"):
        read_table(spark, path, WHAT)


def test_names_that_differ_in_case_alone_stop_only_who_asks_for_them(spark, tmp_path):
    path = folder(tmp_path / "items", a=table(i=(pa.int64(), [1]), a=(F32, [1.0]), A=(F32, [2.0])))
    assert values(spark, path, "i") == [(1,)]
    with pytest.raises(InputRefused, match=r"column 'a' .* is there twice, in upper and in lower case \(a, A\)"):
        values(spark, path, "a")


def test_what_spark_says_of_a_sound_file_is_no_damage(spark, tmp_path):
    """As it is where pyarrow does not get at the files, so that Spark learns of the types while it reads."""
    path = folder(tmp_path / "items", a=table(i=(pa.int64(), [1])))
    with pytest.raises(InputRefused) as refused, damage_refused(path, WHAT):
        spark.read.schema("i string").parquet(path).collect()
    for part in ("'i' is string in some and INT64", "a.parquet", "write the files with one type"):
        assert part in str(refused.value)
    (tmp_path / "items" / ".a.parquet.crc").write_bytes(b"crc\0\0\0\2\0" + b"\1" * 40)
    with pytest.raises(InputRefused, match=r"checksum in the \.crc file beside it"), damage_refused(path, WHAT):
        spark.read.schema("i bigint").parquet(path).collect()
    (tmp_path / "items" / ".a.parquet.crc").unlink()
    frame = spark.read.schema("i bigint").parquet(path)
    (tmp_path / "items" / "a.parquet").unlink()
    with pytest.raises(InputRefused, match="has lost a file while it was read"), damage_refused(path, WHAT):
        frame.collect()


def test_what_spark_wrote_keeps_its_own_types(spark, tmp_path):
    from pyspark.ml.linalg import Vectors

    path = str(tmp_path / "items")
    spark.createDataFrame([(1, Vectors.dense([1.0, 2.0]))], ["i", "v"]).write.parquet(path)
    assert values(spark, path, "v") == [(Vectors.dense([1.0, 2.0]),)]
