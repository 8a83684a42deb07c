"""Beam encoding, certified: several paths through the codebooks are kept, and the cheapest whole one wins.

A path (s^1 .. s^l) costs ||W^l r^{l+1}||^2 + sum_{j <= l} b^j_{s^j}, with r^{l+1} = z - sum_{j <= l} c^j_{s^j}. At
every level each kept path is extended by every code, and the `width` cheapest extensions stay; at the last level the
cheapest wins. Ties go to the path with the lowest codes, compared level by level. Width 1 is the greedy encoding of
`drq_spark.tokenizer.kernel`.

As there, float32 GEMM scores find the candidates, and wherever float32 cannot tell which extensions are the cheapest
the row is decided on float64 costs: codes do not depend on the tile, the BLAS, the processor or the threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

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
from drq_spark.tokenizer.kernel import Level, reach

_Number = TypeVar("_Number", np.int32, np.float64)

_TILE_ELEMENTS = 2**19  # scores and residuals of one tile stay within the cache
_MASK_ELEMENTS = 2**26  # candidates, times the numbers of a residual, that are looked at at a time


@dataclass(frozen=True)
class Paths:
    """The cheapest whole paths of n rows.

    Attributes:
        codes: int32 [n, m, L], cheapest first.
        cost: float64 [n, m].
        margin: float32 [n, L], of the winner: at the last level (cost of the runner-up - its cost) / squared weighted
            distance to the runner-up; before, the same against the cheapest extension that was dropped: how far the
            winner was from being dropped itself (1 where nothing was dropped).
        residual_square: float64 [n, L], ||W^L r^{l+1}||^2 of the winner.
        reach: float64 [n], how far the latent may move in the metrics of all levels without other codes of the winner.
        uncertain: int64 [L], rows decided in float64.
    """

    codes: I32
    cost: F64
    margin: F32
    residual_square: F64
    reach: F64
    uncertain: NDArray[np.int64]


@dataclass
class _Beam:
    """The kept paths of a tile of n rows, ordered by their codes: that order decides ties.

    Attributes:
        residual: float64 [n, P, d].
        paid: float64 [n, P], the prices so far.
        codes: int32 [n, P, l].
        margin: float64 [n, P, l], see `Paths`.
        left: float64 [n, P, l], the squares of the residual on each level, see `Paths`.
        total: float64 [n, P], the cost so far.
        reach: float64 [n], how far the rows may move without other paths being kept.
        least_paid: What every path has paid at least.
    """

    residual: F64
    paid: F64
    codes: I32
    margin: F64
    left: F64
    total: F64
    reach: F64
    least_paid: float


def search(latents: F64, levels: Sequence[Level], width: int, keep: int = 1) -> Paths:
    """The `keep` cheapest of the whole paths that a beam of `width` >= 1 reaches, for latents float64 [n, d], finite.

    There may be fewer than `keep` paths: the codebook sizes and the width bound them.
    """
    latents = np.ascontiguousarray(latents)  # numpy adds up rows of another layout in another order
    widest = max(width * len(levels[0].centre), width * max(len(level.codewords) for level in levels))
    blocks = row_blocks(max(len(latents), 1), widest, _TILE_ELEMENTS, least=8)
    tiles = [_search_tile(latents[block], levels, width, keep) for block in blocks]
    return Paths(
        codes=np.concatenate([tile.codes for tile in tiles]),
        cost=np.concatenate([tile.cost for tile in tiles]),
        margin=np.concatenate([tile.margin for tile in tiles]),
        residual_square=np.concatenate([tile.residual_square for tile in tiles]),
        reach=np.concatenate([tile.reach for tile in tiles]),
        uncertain=np.sum([tile.uncertain for tile in tiles], axis=0),
    )


def _search_tile(rows: F64, levels: Sequence[Level], width: int, keep: int) -> Paths:
    count = len(rows)
    none = np.empty((count, 1, 0))
    zero, no_codes = np.zeros((count, 1)), none.astype(np.int32)
    beam = _Beam(rows[:, None], zero, no_codes, none, none, zero, np.full(count, np.inf), 0.0)
    uncertain = np.zeros(len(levels), np.int64)
    for index, level in enumerate(levels):
        last = index == len(levels) - 1
        beam, uncertain[index] = _extend(beam, level, levels[-1].weight, keep if last else width, by_cost=last)
    margin = beam.margin[:, 0].astype(np.float32)
    return Paths(beam.codes, beam.total, margin, beam.left[:, 0], beam.reach, uncertain)


def _extend(beam: _Beam, level: Level, metric: F32 | None, keep: int, *, by_cost: bool) -> tuple[_Beam, int]:
    """The `keep` cheapest extensions, ordered by codes or by cost, and how many rows float32 could not decide."""
    count, paths, dim = beam.residual.shape
    size = len(level.codewords)
    wanted = min(keep + 1, paths * size)  # one more than stays: the margin is the distance to it
    flat, cost, uncertain = _cheapest(beam, level, wanted)
    kept = min(keep, wanted)
    chosen, total = flat[:, :kept], cost[:, :kept]
    if not by_cost:
        order = chosen.argsort(axis=1)
        chosen, total = np.take_along_axis(chosen, order, 1), np.take_along_axis(total, order, 1)
    parent, code = chosen // size, chosen % size
    residual = np.take_along_axis(beam.residual, parent[:, :, None], 1) - level.codewords[code]
    margin = _margins(beam, level, flat, cost, rival=1 if by_cost else keep, of=total)
    weighed = residual if metric is None else residual * metric
    least_paid = beam.least_paid + level.least_price
    moves = reach(cost[:, keep - 1], cost[:, keep], least_paid) if keep < wanted else np.full(count, np.inf)
    left = np.square(weighed).reshape(count * kept, dim).sum(axis=1).reshape(count, kept)
    return _Beam(
        residual=residual,
        paid=np.take_along_axis(beam.paid, parent, 1) + level.price[code],
        codes=_grown(beam.codes, parent, code.astype(np.int32)),
        margin=_grown(beam.margin, parent, margin),
        left=_grown(beam.left, parent, left),
        total=total,
        reach=np.minimum(beam.reach, moves),
        least_paid=least_paid,
    ), uncertain


def _margins(beam: _Beam, level: Level, flat: Index, cost: F64, *, rival: int, of: F64) -> F64:
    """(cost of the rival - costs `of` some extensions) / squared weighted distance to the rival; 1 without a rival.

    flat, cost: [n, m] as `_cheapest` gives them; rival: which of the m it is; of: [n, kept]. Returns [n, kept].
    """
    if rival >= flat.shape[1]:
        return np.ones(of.shape)
    path, code = np.divmod(flat[:, rival], len(level.codewords))
    distance = level.square(beam.residual[np.arange(len(flat)), path], code)[:, None]
    return np.divide(cost[:, rival, None] - of, distance, out=np.zeros(of.shape), where=distance > 0)


def _grown(history: NDArray[_Number], parent: Index, value: NDArray[_Number]) -> NDArray[_Number]:
    """What the parents had on each level so far, and the value of the new one: [n, P, l], [n, m], [n, m]."""
    return np.concatenate([np.take_along_axis(history, parent[:, :, None], 1), value[:, :, None]], axis=2)


def _cheapest(beam: _Beam, level: Level, wanted: int) -> tuple[Index, F64, int]:
    """The `wanted` cheapest extensions of each row as path * K + code, cheapest first, ties by that number.

    Returns also their float64 costs, both [n, wanted], and how many rows float32 could not decide.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # such rows fail the certificate
        scores, error = _path_scores(beam, level)
        flat, limit = lowest_columns(scores, error, wanted)
    undecided = undecided_rows(scores, limit, wanted)
    flat = np.sort(flat, axis=1)
    cost = _cost(beam, level, np.arange(len(flat)).repeat(wanted), flat.ravel()).reshape(flat.shape)
    order = cost.argsort(axis=1, kind="stable")
    flat, cost = np.take_along_axis(flat, order, 1), np.take_along_axis(cost, order, 1)
    for block in row_blocks(len(undecided), scores.shape[1] * beam.residual.shape[2], _MASK_ELEMENTS):
        part = undecided[block]
        flat[part], cost[part] = _cheapest_among(beam, level, part, within(scores[part], limit[part]), wanted)
    return flat, cost, len(undecided)


def _cheapest_among(
    beam: _Beam, level: Level, rows: Index, candidates: NDArray[np.bool_], wanted: int
) -> tuple[Index, F64]:
    """`_cheapest` for some rows, among the candidates bool [len(rows), P * K]; at least `wanted` in each."""

    def cost(place: Index, flat: Index) -> F64:
        return _cost(beam, level, rows[place], flat)

    return cheapest_candidates(candidates, wanted, beam.residual.shape[2], cost)


def _path_scores(beam: _Beam, level: Level) -> tuple[F32, F64]:
    """Float32 costs [n, P * K] of all extensions, less one number per row, and the bound [n] on their errors."""
    count, paths, dim = beam.residual.shape
    centred = level.centred(beam.residual.reshape(count * paths, dim))
    square = (centred * centred).sum(axis=1).reshape(count, paths)
    base = square + beam.paid
    above = base - base.min(axis=1, keepdims=True)
    scores = level.scores(centred).reshape(count, paths, len(level.codewords))
    scores += above.astype(np.float32)[:, :, None]
    norm = np.sqrt(square)
    largest = above + 2 * norm * level.widest + level.highest + np.abs(beam.paid)
    error = level.score_error(norm) + 4 * UNIT * largest  # of the bases, of adding them, of the prices paid
    error += (dim + 6) * UNIT64 * (square + np.abs(beam.paid))
    return scores.reshape(count, paths * len(level.codewords)), error.max(axis=1)


def _cost(beam: _Beam, level: Level, row: Index, flat: Index) -> F64:
    """Float64 cost of extensions path * K + code of rows: [m], [m] -> [m]."""
    path, code = np.divmod(flat, len(level.codewords))
    return np.asarray(level.cost(beam.residual[row, path], code) + beam.paid[row, path])
