"""Embedding columns of every kind become one matrix, and every bad row a reason."""

from __future__ import annotations

import math
import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drq_spark.inputs.embeddings import checked_rows, list_column, read_embeddings, typed_cells

GOOD = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [-7.0, 0.0, 0.5], [0.25, 0.0, 0.0]]
LISTS = [pa.list_(pa.float32()), pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 3)]
BYTES = [pa.binary(), pa.large_binary()]
MAX = 3.4028234663852886e38
pytestmark = pytest.mark.filterwarnings("error")


def packed(values: list[float] | None) -> bytes | None:
    return None if values is None else struct.pack(f"<{len(values)}f", *values)


def column(rows: list, kind: pa.DataType) -> pa.Array:
    return pa.array([packed(row) for row in rows] if kind in BYTES else rows, kind)


@pytest.mark.parametrize("kind", LISTS + BYTES, ids=str)
def test_good_rows_are_the_matrix(kind):
    found = read_embeddings(column(GOOD, kind), 3, "l2")
    assert found.x.dtype == np.float32
    assert found.x.tolist() == GOOD
    assert found.usable.tolist() == [True] * 4
    assert found.reason == pa.array([None] * 4, pa.string())


@pytest.mark.parametrize("kind", LISTS + BYTES, ids=str)
@pytest.mark.parametrize(("start", "length"), [(1, 2), (3, 1), (0, 2), (4, 0), (2, 0)])
def test_slices_are_their_own_rows(kind, start, length):
    whole = column([[9.0, 9.0, 9.0], *GOOD], kind)[1:]
    found = read_embeddings(whole.slice(start, length), 3, "none")
    assert found.x.tolist() == GOOD[start : start + length]
    assert found.x.shape == (length, 3)
    assert len(found.reason) == len(found.usable) == length


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.list_(pa.float64()), pa.large_list(pa.float32()), *BYTES], ids=str
)
def test_every_reason_in_place(kind):
    rows = [None, GOOD[0], [], [1.0, 2.0], [1.0] * 4, [math.nan, 1.0, 1.0], GOOD[1], [1.0, math.inf, 1.0],
            [1.0, 1.0, -math.inf], [0.0, -0.0, 0.0], GOOD[2], None]  # fmt: skip
    expected = ["null", None, "wrong_dimension", "wrong_dimension", "wrong_dimension", "not_finite", None, "not_finite",
                "not_finite", "zero_norm", None, "null"]  # fmt: skip
    found = read_embeddings(column(rows, kind), 3, "l2")
    assert found.reason.to_pylist() == expected
    assert found.usable.tolist() == [reason is None for reason in expected]
    assert found.x.tolist() == GOOD[:3]
    sliced = read_embeddings(column(rows, kind)[3:9], 3, "l2")
    assert sliced.reason.to_pylist() == expected[3:9]
    assert sliced.x.tolist() == GOOD[1:2]


def test_norm_0_is_a_row_unless_rows_are_divided_by_it():
    zeros = pa.array([[0.0, 0.0], [0.0, 1e-45]], pa.list_(pa.float32()))
    assert read_embeddings(zeros, 2, "none").reason.to_pylist() == [None, None]
    assert read_embeddings(zeros, 2, "l2").reason.to_pylist() == ["zero_norm", None]


@pytest.mark.parametrize("kind", LISTS + BYTES, ids=str)
def test_placeholders_are_too_large_unless_rows_are_divided_by_their_norm(kind):
    limit = float(np.float32(1e15))  # below 1e15
    beyond = np.nextafter(np.float32(limit), np.float32(np.inf)).item()
    rows = [[0.0, limit, 1.0], [beyond, 0.0, 1.0], [1.0, -1e30, 1.0]]
    found = read_embeddings(column([*rows, [-limit, 0.0, 1.0]], kind), 3, "none")
    assert found.reason.to_pylist() == [None, "too_large", "too_large", None]
    assert found.x.tolist() == [rows[0], [-limit, 0.0, 1.0]]
    assert read_embeddings(column(rows, kind), 3, "l2").reason.null_count == 3


@pytest.mark.parametrize("kind", LISTS, ids=str)
def test_null_elements_are_not_finite(kind):
    found = read_embeddings(pa.array([[1.0, None, 3.0], GOOD[0], [None, None, None]], kind), 3, "l2")
    assert found.reason.to_pylist() == ["not_finite", None, "not_finite"]
    assert found.x.tolist() == GOOD[:1]


def test_doubles_beyond_float32_are_not_finite():
    doubles = pa.array([[1e39, 0.0], [MAX, -MAX], [1e-60, 0.0]], pa.list_(pa.float64()))
    assert read_embeddings(doubles, 2, "none").reason.to_pylist() == ["not_finite", "too_large", None]
    assert read_embeddings(doubles, 2, "l2").reason.to_pylist() == ["not_finite", None, "zero_norm"]


@pytest.mark.parametrize("kind", BYTES, ids=str)
@pytest.mark.parametrize("size", [0, 1, 3, 4, 11, 13, 16])
def test_bytes_that_are_no_row_are_of_wrong_dimension(kind, size):
    content = [b"\0" * size, packed(GOOD[0]), b"x" * size, packed(GOOD[1])]
    found = read_embeddings(pa.array(content, kind), 3, "none")
    assert found.reason.to_pylist() == ["wrong_dimension", None, "wrong_dimension", None]
    assert found.x.tolist() == GOOD[:2]
    unaligned = read_embeddings(pa.array(content, kind)[1:2], 3, "none")  # bytes that start anywhere
    assert unaligned.x.tolist() == GOOD[:1]


@pytest.mark.parametrize("kind", LISTS[:3] + BYTES, ids=str)
@pytest.mark.parametrize(
    "rows", [[], [None], [None, None], [[]], [[1.0]], [[math.nan] * 3], [[1.0] * 4, None]], ids=repr
)
def test_batches_without_a_usable_row(kind, rows):
    found = read_embeddings(column(rows, kind), 3, "l2")
    assert found.x.shape == (0, 3)
    assert found.x.dtype == np.float32
    assert not found.usable.any()
    assert found.reason.null_count == 0
    assert len(found.reason) == len(rows)


def address(buffer: pa.Buffer) -> int:
    return int(buffer.address)


@pytest.mark.parametrize("start", [0, 1, 3])
def test_good_rows_are_not_copied(start):
    lists = pa.array(GOOD, pa.list_(pa.float32()))
    values = np.asarray(lists.values)
    found = read_embeddings(lists[start:], 3, "l2").x
    assert np.shares_memory(found, values)
    assert found.__array_interface__["data"][0] == values.__array_interface__["data"][0] + 12 * start
    binary = column(GOOD, pa.binary())
    seen = read_embeddings(binary[start:], 3, "l2").x
    assert seen.__array_interface__["data"][0] == address(binary.buffers()[2]) + 12 * start


@pytest.mark.parametrize("cells", BYTES, ids=str)
def test_a_struct_names_the_type_of_its_bytes(cells):
    rows = [[1.5, -2.0], None, [0.25, math.nan], [1.0], [3.0, 4.0], [1e39, 0.0], [0.0, 0.0]]
    doubles = [None if row is None else struct.pack(f"<{len(row)}d", *row) for row in rows]
    column = typed_cells(pa.array([*doubles, b"12345"], cells), "float64")
    reasons = [None, "null", "not_finite", "wrong_dimension", None, "not_finite", "zero_norm", "wrong_dimension"]
    for start in (0, 3):
        found = read_embeddings(column[start:], 2, "l2")
        assert found.reason.to_pylist() == reasons[start:]
        assert found.x.tolist() == [[1.5, -2.0], [3.0, 4.0]][1 if start else 0 :]


def test_lists_of_two_bytes_are_half_floats():
    one, two, nan = b"\x00\x3c", b"\x00\x40", b"\x00\x7e"
    rows = [[one, two], [two, None], [two, nan], [one], None, [one, b"\0\0\0\0"], [two, one]]
    found = read_embeddings(pa.array(rows, pa.list_(pa.binary())), 2, "none")
    assert found.reason.to_pylist() == [None, *["not_finite"] * 2, "wrong_dimension", "null", "not_finite", None]
    assert found.x.tolist() == [[1.0, 2.0], [2.0, 1.0]]
    assert read_embeddings(pa.array(rows, pa.list_(pa.binary()))[5:], 2, "none").x.tolist() == [[2.0, 1.0]]
    halves = pa.array([[1.0, 2.0], [0.5, -1.5]], pa.list_(pa.float16()))
    assert read_embeddings(halves, 2, "none").x.tolist() == [[1.0, 2.0], [0.5, -1.5]]


VALUES = st.one_of(
    st.none(),
    st.sampled_from([0.0, 1.0, -2.5, 2.0**99, -(2.0**99), math.nan, math.inf, -math.inf]),
    st.floats(-9, 9, width=32),
)
ROWS = st.lists(
    st.one_of(st.none(), st.lists(VALUES, max_size=3), st.lists(VALUES, min_size=2, max_size=2)), max_size=8
)


@settings(deadline=None)
@given(ROWS, st.data(), st.sampled_from(["none", "l2"]))
def test_any_rows(rows, data, normalize):
    """Against the rule, row by row; rows in = usable rows + rows with a reason."""

    def reason(row: list[float | None] | None) -> str | None:
        if row is None:
            return "null"
        if len(row) != 2:
            return "wrong_dimension"
        if any(value is None or not math.isfinite(value) for value in row):
            return "not_finite"
        if normalize == "none":
            return "too_large" if any(abs(value) > 1e15 for value in row) else None
        return None if any(row) else "zero_norm"

    start = data.draw(st.integers(0, len(rows)))
    end = data.draw(st.integers(start, len(rows)))
    found = read_embeddings(pa.array(rows, pa.list_(pa.float32()))[start:end], 2, normalize)
    expected = [reason(row) for row in rows[start:end]]
    assert found.reason.to_pylist() == expected
    assert found.x.tolist() == [row for row, fault in zip(rows[start:end], expected, strict=True) if fault is None]


def test_list_column_puts_rows_at_their_places():
    usable = np.array([False, True, False, True, True, False])
    built = list_column(np.arange(6, dtype=np.int32).reshape(3, 2), usable)
    assert built.type == pa.list_(pa.int32())
    assert built.to_pylist() == [None, [0, 1], None, [2, 3], [4, 5], None]
    assert list_column(np.empty((0, 2), np.float32), np.zeros(3, bool)).to_pylist() == [None] * 3
    assert list_column(np.empty((0, 2), np.float32), np.zeros(0, bool)).to_pylist() == []


def test_checked_rows_keep_every_row_in_place():
    columns = [
        pa.array(["a", "b", "c"]),
        pa.array([0.5, None, 0.1]),
        pa.array([None, packed(GOOD[0]), b"x"], pa.binary()),
    ]
    batch = pa.RecordBatch.from_arrays(columns, names=["item_id", "sample_key", "embedding"])
    (out,) = checked_rows(3, "l2")(iter([batch]))
    assert out.to_pydict() == {
        "item_id": ["a", "b", "c"],
        "sample_key": [0.5, None, 0.1],
        "reason": ["null", None, "wrong_dimension"],
        "embedding": [None, GOOD[0], None],
    }
    assert out.schema.field("embedding").type == pa.list_(pa.float32())
    assert list(checked_rows(3, "l2")(iter([]))) == []
