"""Cells of a binary column as rows of float32, whatever type their numbers are of.

Executors run it, so it needs numpy and pyarrow only.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from drq_spark.arrays import F32, I64
from drq_spark.number_types import NPY_SHAPE, NumberType, width

NPY_MAGIC = b"\x93NUMPY"
_SIZE_AT = {1: (8, 10), 2: (8, 12), 3: (8, 12)}  # version of the .npy format -> where the size of its header stands


def dtype(kind: NumberType) -> np.dtype[Any]:
    """How numpy reads numbers of a type; bfloat16, which it has not, as the upper halves of float32."""
    own: np.dtype[Any] = np.dtype("uint16" if kind == "bfloat16" else kind)
    return own if kind.startswith(">") else own.newbyteorder("<")


def as_float32(content: NDArray[np.uint8], kind: NumberType) -> F32:
    """The numbers in contiguous bytes as float32 [n], a view where they are; beyond float32 they become infinite."""
    stored = content.reshape(-1).view(dtype(kind))
    if kind == "bfloat16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        return stored.astype(np.float32, copy=False)


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a column holds bytes."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def lengths(cells: pa.Array, kind: NumberType) -> I64:
    """Numbers per cell, int64 [n]; -1 for NULL and for bytes that are no whole vector."""
    size = pc.binary_length(cells).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    if kind != "npy":
        return np.where(size % width(kind) == 0, size // width(kind), -1)
    found = np.full(len(cells), -1, np.int64)
    for header, places in _by_header(cells):
        whole = size[places] == header.size + header.numbers * header.stored.itemsize
        found[places[whole]] = header.numbers
    return found


def matrix(cells: pa.Array, kind: NumberType, dim: int) -> F32:
    """float32 [n, dim] of cells that all have that length: a view of the Arrow buffer where they hold float32."""
    if kind != "npy":
        return as_float32(_content(cells, dim * width(kind)), kind).reshape(len(cells), dim)
    rows = np.empty((len(cells), dim), np.float32)
    for header, places in _by_header(cells):
        content = _content(cells.take(pa.array(places)), header.size + dim * header.stored.itemsize)
        with np.errstate(over="ignore", invalid="ignore"):
            rows[places] = np.ascontiguousarray(content[:, header.size :]).view(header.stored)
    return rows


def _content(cells: pa.Array, size: int) -> NDArray[np.uint8]:
    """uint8 [n, size] of cells that all have that size, none of them NULL: a view of the Arrow buffer."""
    wide = np.int64 if pa.types.is_large_binary(cells.type) else np.int32
    _, offsets, content = cells.buffers()
    if not len(cells) or content is None:
        return np.empty((len(cells), size), np.uint8)
    first = int(np.frombuffer(offsets, wide)[cells.offset])
    return np.frombuffer(content, np.uint8, count=len(cells) * size, offset=first).reshape(len(cells), size)


@dataclass(frozen=True)
class _Header:
    """What the first bytes of a .npy file tell.

    Attributes:
        size: Bytes before the numbers.
        numbers: Length of the vector.
        stored: Type of a number.
    """

    size: int
    numbers: int
    stored: np.dtype[Any]


def _by_header(cells: pa.Array) -> Iterator[tuple[_Header, NDArray[np.intp]]]:
    """The headers that occur and the places of their cells; cells without a header of one vector are left out.

    A column has one header, or a few: there is no loop over its cells.
    """
    for start, places in _groups(pc.binary_slice(cells, 0, 12), np.arange(len(cells))):
        size = _header_size(start)
        if size is not None:
            for first, same in _groups(pc.binary_slice(cells.take(pa.array(places)), 0, size), places):
                header = _header(first, size)
                if header is not None:
                    yield header, same


def _groups(keys: pa.Array, places: NDArray[np.intp]) -> Iterator[tuple[bytes, NDArray[np.intp]]]:
    """The different keys, and the places of each."""
    coded = keys.dictionary_encode()
    which = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    for number, key in enumerate(coded.dictionary.to_pylist()):
        yield key, places[which == number]


def _header_size(start: bytes) -> int | None:
    if not start.startswith(NPY_MAGIC) or len(start) < 12 or start[6] not in _SIZE_AT:
        return None
    begin, end = _SIZE_AT[start[6]]
    return end + int.from_bytes(start[begin:end], "little")


def _header(first: bytes, size: int) -> _Header | None:
    """The header in the first `size` bytes of a file; None where it is damaged or of no single vector of numbers."""
    file = io.BytesIO(first)
    shape = re.search(NPY_SHAPE, first.decode("latin-1"))
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        _, _, stored = read(file)
    except ValueError:
        return None
    if shape is None or stored.kind not in "fiu":
        return None
    return _Header(size, int(shape.group(1)), stored)
