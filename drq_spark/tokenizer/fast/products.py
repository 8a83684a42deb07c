"""What makes the products of rows and operands that float32 scores begin with: numpy, unless a GPU does.

The certificate asks one thing of a product: that each of its numbers is a sum of products of float32 numbers, rounded
to float32 or finer and added up in any order (`score_bounds`). TF32, bfloat16 and float16 are not that, and no result
would show it: so who brings another multiplier than numpy has it looked at by `multiplies_in_float32` first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from drq_spark.arrays import F32, F64
from drq_spark.tokenizer.candidates import UNIT
from drq_spark.tokenizer.fast.pass_arrays import aligned, placed

_TILE_SCORES = 2**18
_PROBES = 64  # rows of each kind, and codes, that a multiplier is looked at with


class Product(Protocol):
    """Multiplies with one operand, float32 [d, K]."""

    def __call__(self, rows: F32, out: F32) -> None:
        """out = rows @ operand, float32 [n, d] -> [n, K]; both lie in a `Multiplier.room`."""


class Multiplier(Protocol):
    """What multiplies, and how much of it at a time pays.

    Attributes:
        on_gpu: Whether it is a GPU: what a run tells of its rows.
        codes: At most so many codes at a time where a row has one path, so that their scores stay in the cache.
        long_row: Numbers of a row from which on one product for all levels pays.
    """

    @property
    def on_gpu(self) -> bool: ...

    @property
    def codes(self) -> int: ...

    @property
    def long_row(self) -> int: ...

    def rows_of_tile(self, width: int, scores: int) -> int:
        """Rows at a time, at least 1, for a beam of `width` paths where a row has so many scores a level."""

    def room(self, *shape: int) -> F32:
        """Uninitialised float32 array on a border of 64 bytes, for rows or products."""

    def product(self, operand: F32) -> Product:
        """The product with an operand, which may be kept elsewhere from then on."""


@dataclass(frozen=True)
class NumpyProduct:
    """The product with an operand, float32 [d, K], by numpy's BLAS."""

    operand: F32

    def __call__(self, rows: F32, out: F32) -> None:
        """out = rows @ operand."""
        with np.errstate(over="ignore", invalid="ignore"):  # rows that overflow fail the certificate
            np.matmul(rows, self.operand, out=out)


@dataclass(frozen=True)
class NumpyProducts:
    """Numpy: tiles whose scores stay in the cache. `rows`: of a tile, at most; for the rest see `Multiplier`."""

    on_gpu: ClassVar[bool] = False

    rows: int = 1024
    codes: int = 1024
    long_row: int = 256  # one product for all levels saves some 5 % from here on; below, it costs as much

    def rows_of_tile(self, width: int, scores: int) -> int:
        """See `Multiplier`."""
        least = self.rows // (2 if width == 1 else 8)
        return max(min(self.rows, max(least, _TILE_SCORES // scores)), 1)

    def room(self, *shape: int) -> F32:
        """See `Multiplier`."""
        return aligned(*shape)

    def product(self, operand: F32) -> NumpyProduct:
        """See `Multiplier`."""
        return NumpyProduct(operand)


NUMPY = NumpyProducts()


def multiplies_in_float32(multiplier: Multiplier, dim: int) -> bool:
    """Whether products of `dim` terms are within the bound of float32 sums, and single terms within four roundings.

    Rows with one number that is not 0 show how numbers are rounded before they are multiplied: TF32 keeps 11 of their
    24 bits. Whole rows show how sums are added up.
    """
    random = np.random.default_rng(0)
    operand = placed(random.uniform(1.0, 2.0, size=(dim, _PROBES)) * random.choice([-1.0, 1.0], size=(dim, _PROBES)))
    rows, out = multiplier.room(2 * _PROBES, dim), multiplier.room(2 * _PROBES, _PROBES)
    rows[:_PROBES], rows[_PROBES:] = 0, random.normal(size=(_PROBES, dim))
    place = np.arange(_PROBES)
    rows[place, place % dim] = random.uniform(1.0, 2.0, size=_PROBES)
    multiplier.product(operand)(rows, out)
    wide, exact = _wide(rows), _wide(rows) @ _wide(operand)
    terms = np.where(np.arange(2 * _PROBES) < _PROBES, 4.0, dim + 4.0)[:, None] * UNIT
    return bool((np.abs(out - exact) <= terms / (1 - terms) * (np.abs(wide) @ np.abs(_wide(operand)))).all())


def _wide(values: F32) -> F64:
    return values.astype(np.float64)
