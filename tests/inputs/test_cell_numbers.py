"""Binary cells of every number type become the float32 that numpy makes of them, and .npy files too."""

from __future__ import annotations

import io
import math

import numpy as np
import pyarrow as pa
import pytest
from inputs.cells import DTYPES, npy, quantised, written

from drq_spark.inputs.cell_numbers import lengths, matrix
from drq_spark.number_types import of_width, width

KINDS = (*DTYPES, "bfloat16", "npy")
BYTES = (pa.binary(), pa.large_binary())
X = np.random.default_rng(5).normal(size=(7, 3))
pytestmark = pytest.mark.filterwarnings("error")


def expected(x: np.ndarray, kind: str) -> np.ndarray:
    if kind == "bfloat16":  # all but the first 16 bits are cut off
        return (x.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    return x.astype(DTYPES.get(kind, "<f8")).astype(np.float32)


@pytest.mark.parametrize("cells", BYTES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_cells_hold_the_numbers_that_numpy_reads(kind, cells):
    x = quantised(X, kind)
    column = pa.array([*written(x, kind), None, b"\x01" * 5], cells)
    assert lengths(column, kind).tolist() == [3] * 7 + [-1, 5 if width_of(kind) == 1 else -1]
    for start, end in ((0, 7), (2, 5), (4, 4)):
        found = matrix(column[start:end], kind, 3)
        assert found.dtype == np.float32
        assert found.tolist() == expected(x, kind)[start:end].tolist()


def width_of(kind: str) -> int:
    return 0 if kind == "npy" else width(kind)


def test_numbers_beyond_float32_are_infinite_and_nan_stays():
    doubles = written(np.array([[1e39, -1e300, math.nan]]), "float64")
    assert repr(matrix(pa.array(doubles), "float64", 3).tolist()) == "[[inf, -inf, nan]]"
    halves = pa.array([b"\x00\x7c\x00\xfe\x01\x00"])  # infinity, a NaN and the smallest half float
    assert repr(matrix(halves, "float16", 3).tolist()) == "[[inf, nan, 5.960464477539063e-08]]"


def test_types_of_one_width():
    assert {kind: of_width(width(kind)) for kind in ("float32", "int8")} == {
        "float32": ("float32", ">f4"),
        "int8": ("uint8", "int8"),
    }
    assert of_width(3) == ()


class TestNpy:
    def test_every_file_says_what_it_holds(self):
        row = np.array([1.5, -2.0, 0.25])
        forms = [row.astype(form) for form in ("<f2", "<f4", ">f4", "<f8", ">f8")]
        forms += [row[None], row[:, None], np.array([3, -4, 5], "<i8"), np.array([3, -4, 5], "i1")]
        column = pa.array([npy(form) for form in forms])
        assert lengths(column, "npy").tolist() == [3] * 9
        assert matrix(column, "npy", 3).tolist() == [[1.5, -2.0, 0.25]] * 7 + [[3, -4, 5]] * 2

    @pytest.mark.parametrize(
        "cell",
        [
            pytest.param(npy(np.zeros((2, 3))), id="a matrix"),
            pytest.param(npy(np.float64(1.0)), id="a number"),
            pytest.param(npy(np.array(["a", "b"])), id="text"),
            pytest.param(npy(np.array([1 + 2j])), id="complex"),
            pytest.param(npy(np.ones(3))[:-1], id="cut at the end"),
            pytest.param(npy(np.ones(3))[:60], id="cut in the header"),
            pytest.param(npy(np.ones(3))[:9], id="cut before the header"),
            pytest.param(npy(np.ones(3)) + b"\0", id="too long"),
            pytest.param(npy(np.ones(3)).replace(b"'<f8'", b"'<z8'"), id="no such type"),
            pytest.param(npy(np.ones(3)).replace(b"\x93NUMPY\x01", b"\x93NUMPY\x09"), id="no such version"),
            pytest.param(np.ones(3).tobytes(), id="no file"),
            pytest.param(b"", id="nothing"),
        ],
    )
    def test_what_is_no_vector_has_no_length(self, cell):
        assert lengths(pa.array([npy(np.ones(3)), cell]), "npy").tolist() == [3, -1]

    def test_objects_are_never_loaded(self):
        file = io.BytesIO()
        np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        assert lengths(pa.array([file.getvalue()]), "npy").tolist() == [-1]

    def test_a_header_of_the_second_version_is_read(self):
        file = io.BytesIO()
        np.lib.format.write_array(file, np.array([1.0, 2.0]), version=(2, 0))
        column = pa.array([npy(np.array([3.0, 4.0])), file.getvalue()])
        assert lengths(column, "npy").tolist() == [2, 2]
        assert matrix(column, "npy", 2).tolist() == [[3.0, 4.0], [1.0, 2.0]]
