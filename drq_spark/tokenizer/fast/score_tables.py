"""Codebooks made ready for float32 scores: GEMM operands, offsets and cross tables of every level.

With a = f32(mean of codebook 1), zeta = f32(z - a), mu_j the mean of codebook j and w_l the weights of level l, the
score of extending a path s by code k at level l is

    zeta . g_k + sum_{j<l} T_jl[s_j, k] + base,    g_k = -2 w_l^2 (c_k - [l = 1] a),
    T_jl[s, k] = 2 <c_js - mu_j, w_l^2 c_k>,       o_1k = ||w_1 (c_1k - a)||^2 + b_1k,
    o_lk = ||w_l c_lk||^2 + b_lk - 2 <w_l^2 (a - sum_{j<l} mu_j), c_lk>, added to T_(l-1)l,

the cost of that extension less a number of the row alone: ||w_l (zeta + a - sum_j c_js - c_k)||^2 written out. The
tables are computed in float64 and rounded once. Where they would be too large each path has its own product, of what
it has left of the row, and o_k = ||w_l c_k||^2 + b_k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drq_spark.arrays import F32, F64
from drq_spark.tokenizer.fast.pass_arrays import Ranking, placed
from drq_spark.tokenizer.fast.score_bounds import LevelSizes
from drq_spark.tokenizer.kernel import Level

TABLE_BYTES_GREEDY = 2**21  # beyond, a product per level costs less than the reads from a table
TABLE_BYTES_BEAM = 2**28
LANES = 16


@dataclass(frozen=True)
class Tables:
    """What ranks the extensions of all levels.

    Attributes:
        centre: a, float32 [d].
        levels: One `Ranking` per level.
        crossed: Whether cross tables are used; else every path has a product of its own from level 2 on.
    """

    centre: F32
    levels: tuple[Ranking, ...]
    crossed: bool


def padded(size: int) -> int:
    """K rounded up to whole vectors."""
    return -(-size // LANES) * LANES


def prepare_tables(levels: Sequence[Level], width: int) -> Tables:
    """Operands, offsets, tables and bounds; `width`: paths that are kept."""
    sizes = [len(level.codewords) for level in levels]
    table_bytes = 4 * sum(sizes[j] * padded(sizes[i]) for i in range(len(sizes)) for j in range(i))
    crossed = table_bytes <= (TABLE_BYTES_GREEDY if width == 1 else TABLE_BYTES_BEAM)
    books = [level.codewords.astype(np.float64) for level in levels]
    centre = placed(books[0].mean(axis=0))
    with np.errstate(all="ignore"):  # a level that overflows float32 is decided in float64 altogether
        made = [_level(levels, books, centre.astype(np.float64), index, crossed) for index in range(len(levels))]
    rankings, carried = [], np.zeros(3)
    for ranking, adds_to_bases in made:
        carried = ranking.bound + carried if width > 1 and adds_to_bases else ranking.bound
        whole = bool(np.isfinite(carried).all())
        rankings.append(ranking._replace(bound=carried, largest=ranking.largest if whole else np.array([-1.0])))
    return Tables(centre, tuple(rankings), crossed)


def same_metric(levels: Sequence[Level], one: int, other: int) -> bool:
    """Whether two levels have the same weights."""
    weights = levels[one].weight, levels[other].weight
    if weights[0] is None or weights[1] is None:
        return all(weight is None or bool((weight == 1).all()) for weight in weights)
    return bool((weights[0] == weights[1]).all())


def _level(levels: Sequence[Level], books: list[F64], centre: F64, index: int, crossed: bool) -> tuple[Ranking, bool]:
    """One level, with its own bound; and whether the bases of its paths are sums of earlier scores."""
    level, book, above = levels[index], books[index], books[:index]
    square = np.ones(book.shape[1]) if level.weight is None else np.square(level.weight.astype(np.float64))
    metric = np.sqrt(square)
    spread = [words - words.mean(axis=0) for words in above]
    short = book if index else book - centre
    shift = centre - sum(words.mean(axis=0) for words in above) if index else np.zeros(book.shape[1])
    offset = np.square(metric * short).sum(axis=1) + level.price
    tables = [2 * (words * square) @ book.T for words in spread] if crossed else []
    if tables:
        tables[-1] += offset - 2 * (square * shift) @ book.T
    beyond = ((0, 0), (0, padded(len(book)) - len(book)))
    filled = [np.pad(table, beyond, constant_values=np.inf).ravel() for table in tables]
    farthest = sum(_longest(words) for words in spread) + _longest(shift[None])
    sizes = LevelSizes(
        dim=book.shape[1],
        levels=len(levels),
        tables=len(tables),
        constant=sum(float(np.abs(part).max()) for part in tables or [offset]),
        widest=_longest(square * short),
        metric=float(metric.max()),
        longest=float(metric.max()) * farthest + _longest(metric * short),
        paid=sum(float(np.abs(one.price).max()) for one in levels[: index + 1]),
    )
    operand = placed(np.pad(-2 * (square * short).T, beyond))
    narrow = [operand, offset.astype(np.float32), *(table.astype(np.float32) for table in tables)]
    finite = all(bool(np.isfinite(part).all()) for part in narrow)
    ranking = Ranking(
        operand=operand,
        offset=placed(np.pad(offset, beyond[1], constant_values=np.inf)),
        tables=placed(np.concatenate(filled or [np.zeros(1)])),
        starts=np.cumsum([0, *(part.size for part in filled)])[: len(filled)].astype(np.int64),
        bound=sizes.bound(),
        largest=np.array([sizes.largest_norm() if finite else -1.0]),
    )
    return ranking, bool(tables) and same_metric(levels, index - 1, index)


def _longest(rows: F64) -> float:
    """The largest norm of rows."""
    return float(np.sqrt(np.square(rows).sum(axis=1).max()))
