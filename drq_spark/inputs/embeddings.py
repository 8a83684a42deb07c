"""Embedding columns as matrices; the one place that decides which rows are usable.

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

from drq_spark.schemas import Reason
from drq_spark.tokenizer.model import MAX_NUMBER, Normalize

_REASONS = (Reason.NULL, Reason.WRONG_DIMENSION, Reason.NOT_FINITE, Reason.TOO_LARGE, Reason.ZERO_NORM)
_FLOAT_BYTES = 4


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
    """Rows of an array<float> or little-endian float32 binary column as a matrix, with a reason for each row left out.

    The checks are in the order of `schemas.Reason`: null, wrong_dimension, not_finite (NULL elements count as NaN),
    too_large (a number beyond `MAX_NUMBER`, unless rows are divided by their norm), zero_norm (only where they are).
    """
    fault = np.full(len(column), -1, np.int8)
    length = _lengths(column)
    fault[length != dim] = _REASONS.index(Reason.WRONG_DIMENSION)
    fault[np.asarray(column.is_null())] = _REASONS.index(Reason.NULL)
    shaped = fault < 0
    x = _matrix(column if shaped.all() else column.filter(pa.array(shaped)), dim)
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


def _lengths(column: pa.Array) -> NDArray[np.int64]:
    """Numbers per row, -1 for a NULL row or bytes that are no whole float32."""
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        size = pc.binary_length(column).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return np.asarray(np.where(size % _FLOAT_BYTES == 0, size // _FLOAT_BYTES, -1))
    return np.asarray(pc.list_value_length(column).fill_null(-1).to_numpy(zero_copy_only=False), np.int64)


def _matrix(column: pa.Array, dim: int) -> NDArray[np.float32]:
    """float32 [n, dim] of rows that all have that length: a view where Arrow allows it."""
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        width = np.int64 if pa.types.is_large_binary(column.type) else np.int32
        _, offsets, content = column.buffers()
        if not len(column) or content is None:
            return np.empty((0, dim), np.float32)
        first = int(np.frombuffer(offsets, width)[column.offset])
        return np.frombuffer(content, "<f4", count=len(column) * dim, offset=first).reshape(len(column), dim)
    values = column.flatten()
    flat = values.to_numpy(zero_copy_only=values.null_count == 0)
    with np.errstate(over="ignore"):  # a double that float32 cannot hold is not finite
        return np.asarray(flat, np.float32).reshape(len(column), dim)
