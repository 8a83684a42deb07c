"""The arrays that the compiled passes share, as named tuples, with numba's names of their types.

All are C-contiguous; float32 matrices that vectors run over begin on a border of 64 bytes (`aligned`), so that no
vector straddles two lines of the cache. Rows come as a read-only view, whatever they were: Arrow's views are read-only
arrays, another type to numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32, F64, I32, I64

ROWS = 'Array(float32, 2, "C", readonly=True)'


class Books(NamedTuple):
    """All codebooks.

    Attributes:
        words: float32 [sum K, d], the codebooks one after the other.
        first: int64 [L], where each begins.
        price: float32 [sum K].
        weights: float32 [L, d], or [0, d] where all are 1.
        plan: int64 [m, 3], blocks in which numpy adds up d numbers, see `exact_squares.summation_plan`.
    """

    words: F32
    first: I64
    price: F32
    weights: F32
    plan: I64


BOOKS = (Books, ("float32[:, ::1]", "int64[::1]", "float32[::1]", "float32[:, ::1]", "int64[:, ::1]"))


class Ranking(NamedTuple):
    """What ranks the extensions of one level.

    Attributes:
        operand: float32 [d, padded], what zeta is multiplied with; padded is K rounded up to whole vectors.
        offset: float32 [padded], infinite beyond K.
        tables: float32 [..], the cross tables with the levels above, one after the other; unused without tables.
        starts: int64 [l], where each begins; none without tables.
        bound: float64 [3]: scores err by at most bound . (1, N, N^2) for a row of norm N, see `score_bounds`.
        largest: float64 [1], rows from this norm on are decided in float64 altogether.
    """

    operand: F32
    offset: F32
    tables: F32
    starts: I64
    bound: F64
    largest: F64


RANKING = (
    Ranking,
    ("float32[:, ::1]", "float32[::1]", "float32[::1]", "int64[::1]", "float64[::1]", "float64[::1]"),
)


class Beam(NamedTuple):
    """The kept paths of a tile of n rows, ordered by their codes, and the rivals of each level.

    Attributes:
        codes: int32 [n, B, L].
        base: float32 [n, B], what each path has cost so far, less a number of the row.
        loose: float64 [n], bound on the error of the bases.
        paid: float64 [n, B], the prices so far.
        rival: int32 [n, L, L + 1], the cheapest extension that each level dropped: its codes, and in the last place
            whether there is one.
        dearest: float64 [n, L], cost of the dearest extension that each level kept, where it was asked for.
        norm: float64 [n], at least the norm of what was multiplied with the operand.
    """

    codes: I32
    base: F32
    loose: F64
    paid: F64
    rival: I32
    dearest: F64
    norm: F64


BEAM = (
    Beam,
    (
        "int32[:, :, ::1]",
        "float32[:, ::1]",
        "float64[::1]",
        "float64[:, ::1]",
        "int32[:, :, ::1]",
        "float64[:, ::1]",
        "float64[::1]",
    ),
)


def empty_beam(rows: int, width: int, levels: int) -> Beam:
    """Room for a tile."""
    return Beam(
        codes=np.empty((rows, width, levels), np.int32),
        base=np.empty((rows, width), np.float32),
        loose=np.empty(rows),
        paid=np.empty((rows, width)),
        rival=np.empty((rows, levels, levels + 1), np.int32),
        dearest=np.empty((rows, levels)),
        norm=np.empty(rows),
    )


def _memory(size: int) -> NDArray[np.uint8]:
    return np.empty(size, np.uint8)


def aligned(*shape: int, memory: Callable[[int], NDArray[np.uint8]] = _memory) -> F32:
    """Uninitialised float32 array that begins on a border of 64 bytes; `memory` gives a number of bytes."""
    count = int(np.prod(shape)) * 4
    room = memory(count + 64)
    start = -room.ctypes.data % 64
    return room[start : start + count].view(np.float32).reshape(shape)


def placed(values: NDArray[Any]) -> F32:
    """An aligned float32 copy."""
    out = aligned(*values.shape)
    out[...] = values
    return out
