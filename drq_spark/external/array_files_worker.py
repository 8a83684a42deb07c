"""Reads slices of the arrays in a .npy or .npz file."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from drq_spark.files import resolve


@dataclass(frozen=True)
class Stored:
    """An array in a file.

    Attributes:
        path: Path or URI of the file.
        member: Name in the archive; None where the file is the array.
        dtype: Its type as numpy writes it; "V" for one with fields.
        shape: Its shape.
        fortran: Whether the first axis is the one that runs fastest.
        offset: Bytes before its first number.
    """

    path: str
    member: str | None
    dtype: str
    shape: tuple[int, ...]
    fortran: bool
    offset: int

    @property
    def kind(self) -> str:
        """One letter for its type: i and u integers, U and S text, O Python objects."""
        return np.dtype(self.dtype).kind

    def read(self, stream: IO[bytes], first: int, count: int) -> NDArray[Any]:
        """Numbers `first` to `first + count` in the order in which they lie."""
        dtype = np.dtype(self.dtype)
        stream.seek(self.offset + first * dtype.itemsize)
        return np.frombuffer(stream.read(count * dtype.itemsize), dtype)


@dataclass(frozen=True)
class ArrayRows:
    """A map in arrays.

    Attributes:
        codes: [N, L], [L, N] or text [N].
        ids: [N]; None where row numbers stand for them.
        rows: N.
        levels: L, 1 for text [N].
        by_level: Whether all codes of a level lie together.
    """

    codes: Stored
    ids: Stored | None
    rows: int
    levels: int
    by_level: bool

    def ddl(self) -> str:
        """The schema of the rows that are read."""
        text = self.codes.kind in "US"
        codes = "string" if text and len(self.codes.shape) == 1 else f"array<{'string' if text else 'bigint'}>"
        return f"item_id {'string' if self.ids and self.ids.kind in 'US' else 'bigint'}, codes {codes}"


def opened(path: str, member: str | None) -> Any:
    """The bytes of a file, or of a member of an archive, with read, seek and tell.

    Raises:
        OSError: it cannot be read.
    """
    filesystem, inner = resolve(path)
    file = filesystem.open_input_file(inner)
    return file if member is None else zipfile.ZipFile(file).open(member)


def row_reader(rows: ArrayRows) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow: (id) of consecutive rows, ascending -> (item_id, codes)."""

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with ExitStack() as stack:
            # each level has a stream of its own: an archive can only be read forwards
            streams = [
                stack.enter_context(opened(rows.codes.path, rows.codes.member))
                for _ in range(rows.levels if rows.by_level else 1)
            ]
            ids = stack.enter_context(opened(rows.ids.path, rows.ids.member)) if rows.ids else None
            for batch in batches:
                if batch.num_rows:
                    yield _slice(rows, streams, ids, batch.column(0))

    return read


def _slice(rows: ArrayRows, streams: list[IO[bytes]], ids: IO[bytes] | None, row: pa.Array) -> pa.RecordBatch:
    first, count = row[0].as_py(), len(row)
    if rows.by_level:
        parts = [rows.codes.read(stream, level * rows.rows + first, count) for level, stream in enumerate(streams)]
        codes = np.stack(parts, axis=1)
    else:
        codes = rows.codes.read(streams[0], first * rows.levels, count * rows.levels).reshape(count, rows.levels)
    flat = _column(np.ascontiguousarray(codes).reshape(-1))
    if len(rows.codes.shape) == 2 or rows.codes.kind in "iu":
        offsets = pa.array(np.arange(count + 1, dtype=np.int32) * rows.levels)
        flat = pa.ListArray.from_arrays(offsets, flat)
    item_id = row if rows.ids is None or ids is None else _column(rows.ids.read(ids, first, count))
    return pa.RecordBatch.from_arrays([item_id, flat], ["item_id", "codes"])


def _column(values: NDArray[Any]) -> pa.Array:
    """Integers as int64, text as string."""
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    return pa.array(values.tolist(), pa.string()) if values.dtype.kind == "U" else pa.array(values.astype(np.int64))
