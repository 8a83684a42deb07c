"""Turns the embeddings of the items of some SIDs into their moments."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from drq_spark.arrays import F64, I64
from drq_spark.inputs.embeddings import read_embeddings
from drq_spark.tokenizer.model import Normalize, normalized

MOMENTS = pa.schema({"sid": pa.int64(), "rows": pa.int64(), "square": pa.float64(), "fourth": pa.float64()})
"""What is left of every SID: its rows, and the sums of d^2 and d^4, see `grouped_moments`."""

_BLOCK_ELEMENTS = 2**20  # float64 numbers of one block of rows


def moments_of_sids(dim: int, normalize: Normalize) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow: (sid, embedding) of all chosen items of some SIDs -> `MOMENTS`, one row per SID.

    Rows without a usable embedding are left out. A partition must hold whole SIDs; it is kept in memory.
    """

    def moments(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        sids, rows = [np.empty(0, np.int64)], [np.empty((0, dim), np.float32)]
        for batch in batches:
            found = read_embeddings(batch.column("embedding"), dim, normalize)
            sids.append(batch.column("sid").to_numpy()[found.usable])
            rows.append(normalized(found.x, normalize))
        columns = grouped_moments(np.concatenate(sids), np.concatenate(rows))
        yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=MOMENTS)

    return moments


def grouped_moments(sid: I64, x: NDArray[np.float32]) -> tuple[I64, I64, F64, F64]:
    """Per SID, ascending: sid, rows, sum d^2, sum d^4; d is the distance of a row of x, float32 [n, D], from the mean.

    The order of the rows changes no bit.

    >>> grouped_moments(np.array([7, 5, 7]), np.array([[0.0], [9.0], [2.0]], np.float32))
    (array([5, 7]), array([1, 2]), array([0., 2.]), array([0., 2.]))
    """
    order = _fixed_order(sid, x)
    different, starts, rows = np.unique(sid[order], return_index=True, return_counts=True)
    if not len(different):
        return different, rows.astype(np.int64), np.zeros(0), np.zeros(0)
    x, group = x[order], np.repeat(np.arange(len(different)), rows)
    mean = np.add.reduceat(x, starts, axis=0, dtype=np.float64) / rows[:, None]
    square = np.empty(len(x))
    step = max(1, _BLOCK_ELEMENTS // x.shape[1])
    for start in range(0, len(x), step):
        block = slice(start, start + step)
        square[block] = np.square(x[block] - mean[group[block]]).sum(axis=1)
    sums = np.add.reduceat(np.stack([square, np.square(square)]), starts, axis=1)
    return different, rows.astype(np.int64), sums[0], sums[1]


def _fixed_order(sid: I64, x: NDArray[np.float32]) -> NDArray[np.intp]:
    """Places [n] of the rows by sid, and by their bytes where sids are equal: float64 sums depend on an order."""
    cells = np.ascontiguousarray(x).view(np.dtype((np.void, x.shape[1] * x.itemsize)))[:, 0]
    by_cell = np.argsort(cells, kind="stable")
    return by_cell[np.argsort(sid[by_cell], kind="stable")]
