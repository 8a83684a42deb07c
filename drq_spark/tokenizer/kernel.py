"""The certified nearest codeword: fast float32 scores, decided in float64 wherever float32 cannot tell.

    s = argmin_k ||w (r - c_k)||^2 + b_k, lowest code on ties; w weighs coordinates (1 unless given).

One float32 GEMM ranks all K codewords. Its error is bounded for any order of summation (Higham, Accuracy and Stability
of Numerical Algorithms, 2nd ed., section 3.1: |fl(x.y) - x.y| <= gamma_n |x|.|y|), so the two best are certain wherever
the third is further away than twice the bound; elsewhere all candidates within the bound are compared. The order
of the candidates is always decided on float64 costs computed from differences; the bound covers the rounding of those
too, so that whatever is left out would have lost in float64 as well. So codes and margins do not depend on the tile,
the BLAS, the processor or the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32, F64, I32
from drq_spark.blocks import row_blocks
from drq_spark.tokenizer.candidates import (
    UNIT,
    UNIT64,
    Index,
    cheapest_candidates,
    lowest_columns,
    undecided_rows,
    within,
)

_TINY = 2.0**-125  # twice the smallest normal float32: what flushing to zero can cost a term
_OVERFLOW = 2.0**126  # float32 scores up to here cannot have overflowed on the way
ROUNDED = 1e-11  # of distances from float64 costs of up to 10,000 coordinates, relatively
_TILE_ELEMENTS = 2**18  # scores, residuals and gathered codewords of one tile stay within the cache


@dataclass(frozen=True)
class Nearest:
    """Result of `nearest` for n rows.

    Attributes:
        code: int32 [n].
        margin: float32 [n], (second cost - best cost) / squared weighted distance to the second best; in [0, 1] without
            prices, 0 on a boundary and where that distance is 0.
        residual: float64 [n, d], r - c.
        reach: float64 [n], how far r may move in the metric of the level without another code, see `reach`.
        uncertain: Rows that float32 alone could not decide.
    """

    code: I32
    margin: F32
    residual: F64
    reach: F64
    uncertain: int


def reach(kept: F64, dropped: F64, least_price: float) -> F64:
    """How far rows may move in the metric of a level before an extension that was dropped becomes as cheap, [n].

    With costs d^2 + b of two extensions, b >= least_price, a move by delta changes their difference by at most
    2 |delta| (d_kept + d_dropped), and d <= sqrt(cost - least_price); so it takes half the difference of these roots.
    Less what float64 may have rounded.

    Args:
        kept: Costs of the dearest extension that was kept, float64 [n].
        dropped: Costs of the cheapest one that was not, float64 [n].
        least_price: What every extension pays at least.
    """
    near, far = (np.sqrt(np.maximum(cost - least_price, 0.0)) for cost in (kept, dropped))
    return np.asarray((far - near) / 2 - ROUNDED * far)


@dataclass(frozen=True)
class Level:
    """One codebook made ready for search.

    Attributes:
        codewords: float32 [K, d].
        price: float32 [K], zeros where not learned.
        weight: float32 [d], or None for ones.
        The others are the codewords in the weighted metric, centred, as the float32 scores need them.
    """

    codewords: F32
    price: F32
    weight: F32 | None
    centre: F64
    gemm: F32
    offset: F32
    widest: float
    highest: float
    shift: float

    @classmethod
    def prepare(cls, codewords: F32, price: F32 | None = None, weight: F32 | None = None) -> Level:
        """Derive what the search needs from a codebook.

        Raises:
            ValueError: codewords not float32 [K >= 2, d], not finite, or a price or weight of another shape.
        """
        if codewords.dtype != np.float32 or codewords.ndim != 2 or len(codewords) < 2:
            raise ValueError(f"codewords must be float32 [K >= 2, d], not {codewords.dtype} {codewords.shape}")
        prices = np.zeros(len(codewords), np.float32) if price is None else price
        if prices.shape != (len(codewords),) or not (np.isfinite(codewords).all() and np.isfinite(prices).all()):
            raise ValueError("codewords and prices must be finite, one price per codeword")
        if weight is not None and (weight.shape != codewords.shape[1:] or not np.isfinite(weight).all()):
            raise ValueError("weights must be finite, one per coordinate")
        weighed = codewords.astype(np.float64) if weight is None else codewords * weight.astype(np.float64)
        centre = weighed.mean(axis=0)
        centred = weighed - centre
        square = (centred * centred).sum(axis=1)
        offset = square + prices
        with np.errstate(over="ignore"):  # what overflows float32 fails the certificate
            gemm, narrow = np.ascontiguousarray((-2.0 * centred).T, np.float32), offset.astype(np.float32)
        return cls(
            codewords=np.ascontiguousarray(codewords),
            price=prices,
            weight=weight,
            centre=centre,
            gemm=gemm,
            offset=narrow,
            widest=float(np.sqrt(square.max())),
            highest=float(np.abs(offset).max()),
            shift=float(np.sqrt((centre * centre).sum())),
        )

    @cached_property
    def least_price(self) -> float:
        """The lowest price."""
        return float(self.price.min())

    def tiles(self, rows: int) -> Iterator[slice]:
        """Rows to search at a time so that a tile's scores and residuals stay small, whatever K and d."""
        return row_blocks(rows, max(self.codewords.shape), _TILE_ELEMENTS, least=16)

    def centred(self, rows: F64) -> F64:
        """Rows float64 [n, d] in the weighted metric, about the mean codeword."""
        return rows - self.centre if self.weight is None else rows * self.weight - self.centre

    def scores(self, centred: F64) -> F32:
        """cost - ||centred row||^2 of centred rows and all codewords in float32: [n, d] -> [n, K]."""
        scores = centred.astype(np.float32) @ self.gemm
        scores += self.offset
        return scores

    def square(self, rows: F64, codes: NDArray[np.integer]) -> F64:
        """||w (r - c)||^2 in float64, from differences. [n, d], [n] -> [n]."""
        gap = rows - self.codewords[codes]
        if self.weight is not None:
            gap *= self.weight
        return np.asarray(np.multiply(gap, gap, out=gap).sum(axis=1))

    def cost(self, rows: F64, codes: NDArray[np.integer]) -> F64:
        """||w (r - c)||^2 + b in float64: the cost that decides. [n, d], [n] -> [n]."""
        return np.asarray(self.square(rows, codes) + self.price[codes])

    def score_error(self, row_norm: F64) -> F64:
        """Bound on |float32 score - exact score| of rows whose centred norm is given: float64, same shape.

        It also bounds |float64 cost - exact cost|, which is the larger one for rows very far from all codewords.
        """
        terms = self.codewords.shape[1] + 6
        gamma = terms * UNIT / (1 - terms * UNIT)
        underflow = terms * _TINY * (1 + self.widest + row_norm)
        error = 2 * gamma * row_norm * self.widest + 4 * UNIT * self.highest + underflow
        error += terms * UNIT64 * ((row_norm + self.widest) ** 2 + self.highest)
        error += 4 * UNIT64 * self.shift * (row_norm + self.widest)  # of centring rows far from the origin
        largest = np.maximum(row_norm, 2 * row_norm * self.widest + self.highest)
        return np.where(largest < _OVERFLOW, error, np.inf)


def nearest(residual: F64, level: Level) -> Nearest:
    """Certified nearest codeword of every row of `residual` (float64 [n, d], finite)."""
    residual = np.ascontiguousarray(residual)  # numpy adds up rows of another layout in another order
    rows = len(residual)
    result = Nearest(np.empty(rows, np.int32), np.empty(rows, np.float32), np.empty_like(residual), np.empty(rows), 0)
    uncertain = 0
    for tile in level.tiles(rows):
        uncertain += _nearest_tile(residual[tile], level, tile, result)
    return replace(result, uncertain=uncertain)


def _nearest_tile(rows: F64, level: Level, tile: slice, result: Nearest) -> int:
    """Search one tile and write it into its part of the result; how many rows float32 could not decide."""
    centred = level.centred(rows)
    with np.errstate(over="ignore", invalid="ignore"):  # such rows fail the certificate
        scores = level.scores(centred)
        pair, limit = lowest_columns(scores, level.score_error(np.sqrt((centred * centred).sum(axis=1))), 2)
    undecided = undecided_rows(scores, limit, 2)
    best, second, lowest, runner_up = _order(rows, pair, level)
    if len(undecided):
        near, some = within(scores[undecided], limit[undecided]), rows[undecided]
        codes, costs = cheapest_candidates(near, 2, rows.shape[1], lambda row, code: level.cost(some[row], code))
        best[undecided], second[undecided] = codes.T
        lowest[undecided], runner_up[undecided] = costs.T
    result.code[tile] = best
    np.subtract(rows, level.codewords[best], out=result.residual[tile])
    to_second = level.square(rows, second) if level.price.any() else runner_up
    result.reach[tile] = reach(lowest, runner_up, level.least_price)
    result.margin[tile] = np.divide(runner_up - lowest, to_second, out=np.zeros_like(lowest), where=to_second > 0)
    return len(undecided)


def _order(rows: F64, pair: Index, level: Level) -> tuple[Index, Index, F64, F64]:
    """Order two codes per row by float64 cost, the lower code first on ties: best, second, and their costs."""
    low, high = pair.min(axis=1), pair.max(axis=1)
    cost_low, cost_high = level.cost(rows, low), level.cost(rows, high)
    swap = cost_high < cost_low
    best, second = np.where(swap, high, low), np.where(swap, low, high)
    return best, second, np.minimum(cost_low, cost_high), np.maximum(cost_low, cost_high)
