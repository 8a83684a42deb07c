"""Embedding columns of every kind as matrices; the one place that decides which rows are usable.

Executors run it, so it needs numpy and pyarrow only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from drq_spark.arrays import F32
from drq_spark.inputs import cell_numbers
from drq_spark.number_types import NumberType
from drq_spark.schemas import Reason
from drq_spark.tokenizer.model import MAX_NUMBER, Normalize

_REASONS = (Reason.NULL, Reason.WRONG_DIMENSION, Reason.NOT_FINITE, Reason.TOO_LARGE, Reason.ZERO_NORM)
EMBEDDING_TYPES = (
    "array<float>, array<double>, array<decimal>, a list of half floats, an ml Vector, or binary (little-endian "
    "float32, or of a number type that is named)"
)
"""What an embedding column may be, for messages."""


@dataclass(frozen=True)
class Embeddings:
    """The usable rows of a batch of n.

    Attributes:
        x: float32 [m, D], a view of the Arrow buffer where all rows are usable.
        usable: bool [n], m of them true.
        reason: Arrow strings [n], null where usable, else a value of `schemas.Reason`.
    """

    x: NDArray[np.float32]
    usable: NDArray[np.bool_]
    reason: pa.Array


def read_embeddings(column: pa.Array, dim: int, normalize: Normalize) -> Embeddings:
    """Rows of an embedding column as a matrix, with a reason for each row left out.

    The column is a list of numbers, or of bytes that are half floats; binary of little-endian float32; or a struct with
    one field of binary, named as the type of its numbers (`typed_cells`).

    The checks are in the order of `schemas.Reason`: null, wrong_dimension, not_finite (NULL elements count as NaN),
    too_large (a number beyond `MAX_NUMBER`, unless rows are divided by their norm), zero_norm (only where they are).
    """
    fault = np.full(len(column), -1, np.int8)
    column, kind = _opened(column)
    length = _lengths(column, kind)
    fault[length != dim] = _REASONS.index(Reason.WRONG_DIMENSION)
    fault[np.asarray(column.is_null())] = _REASONS.index(Reason.NULL)
    shaped = fault < 0
    x = _matrix(column if shaped.all() else column.filter(pa.array(shaped)), kind, dim)
    row_fault = np.full(len(x), -1, np.int8)
    largest = np.abs(x).max(axis=1, initial=0.0)
    if normalize == "l2":
        row_fault[largest == 0] = _REASONS.index(Reason.ZERO_NORM)
    else:
        row_fault[largest > MAX_NUMBER] = _REASONS.index(Reason.TOO_LARGE)
    row_fault[~np.isfinite(largest)] = _REASONS.index(Reason.NOT_FINITE)
    fault[shaped] = row_fault
    usable = fault < 0
    names = pa.array([reason.value for reason in _REASONS], pa.string())
    reason = names.take(pa.array(np.where(usable, 0, fault), pa.int8(), mask=usable))
    return Embeddings(x if usable.all() else x[row_fault < 0], usable, reason)


def checked_rows(dim: int, normalize: Normalize) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow: (.., embedding) -> (.., reason, embedding as array<float>); other columns pass as they are.

    The embedding comes last. Rows without a usable one keep their place, with the reason and NULL.
    """

    def check(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            found = read_embeddings(batch.column("embedding"), dim, normalize)
            embedding = list_column(found.x, found.usable)
            columns = [*batch.columns[:-1], found.reason, embedding]
            yield pa.RecordBatch.from_arrays(columns, names=[*batch.schema.names[:-1], "reason", "embedding"])

    return check


def row_reasons(dim: int, normalize: Normalize) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow: (.., embedding) -> (.., reason), NULL for usable rows; other columns pass as they are."""

    def check(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            found = read_embeddings(batch.column("embedding"), dim, normalize)
            names = [*batch.schema.names[:-1], "reason"]
            yield pa.RecordBatch.from_arrays([*batch.columns[:-1], found.reason], names=names)

    return check


def list_column(rows: NDArray[Any], usable: NDArray[np.bool_]) -> pa.ListArray:
    """List column [n] with the m rows of a matrix at the m usable places and NULL elsewhere."""
    ends = np.concatenate([[0], np.cumsum(usable) * rows.shape[1]]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(rows.reshape(-1)), mask=pa.array(~usable))


def typed_cells(cells: pa.Array, kind: NumberType) -> pa.StructArray:
    """A binary column whose numbers are of a type, as `read_embeddings` takes it."""
    return pa.StructArray.from_arrays([cells], [kind], mask=cells.is_null())


def _opened(column: pa.Array) -> tuple[pa.Array, NumberType]:
    """The column without the struct that names the type of its numbers, and that type; float32 without a struct."""
    if not pa.types.is_struct(column.type):
        return column, "float32"
    return column.flatten()[0], column.type.field(0).name


def _lengths(column: pa.Array, kind: NumberType) -> NDArray[np.int64]:
    """Numbers per row, -1 for a NULL row or bytes that are no whole vector."""
    if cell_numbers.is_bytes(column.type):
        return cell_numbers.lengths(column, kind)
    return np.asarray(pc.list_value_length(column).fill_null(-1).to_numpy(zero_copy_only=False), np.int64)


def _matrix(column: pa.Array, kind: NumberType, dim: int) -> F32:
    """float32 [n, dim] of rows that all have that length: a view where Arrow allows it."""
    if cell_numbers.is_bytes(column.type):
        return cell_numbers.matrix(column, kind, dim)
    values = column.flatten()
    if cell_numbers.is_bytes(values.type):
        return _half_floats(values).reshape(len(column), dim)
    flat = values.to_numpy(zero_copy_only=values.null_count == 0)
    with np.errstate(over="ignore"):  # a double that float32 cannot hold is not finite
        return np.asarray(flat, np.float32).reshape(len(column), dim)


def _half_floats(values: pa.Array) -> F32:
    """float32 [n] of numbers of two bytes each; NaN for NULL and what is of another size."""
    numbers = np.full(len(values), np.nan, np.float32)
    whole = pc.equal(pc.binary_length(values), 2).fill_null(False)
    numbers[np.asarray(whole)] = cell_numbers.matrix(values.filter(whole), "float16", 1)[:, 0]
    return numbers
