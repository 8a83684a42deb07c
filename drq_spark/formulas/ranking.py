"""Ranks by cosine over a whole catalogue, put together from its parts. Executors run it, so it needs numpy only.

Two cosines that differ by no more than `TIE` are a tie, so that no figure depends on how a product of matrices was cut
into blocks. Ties count in expectation: as if they were broken at random.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F64, I64

TIE = 1e-9  # far above the rounding of a cosine in float64, far below what tells float32 embeddings apart


def without_self(better: F64, ties: F64, target: F64, own: F64) -> tuple[F64, F64]:
    """Counts without the query itself, which is no candidate, made from counts over all items.

    Args:
        better, ties: [P], items with a higher score than the target, and with the same one, target included.
        target: [P], score of the target.
        own: [P], score of the query with itself: 1, or 0 for a row of zeros.

    >>> [count.tolist() for count in without_self(np.array([3.0]), np.array([1.0]), np.array([0.5]), np.array([1.0]))]
    [[2.0], [1.0]]
    """
    above = own > target + TIE
    tied = (own >= target - TIE) & ~above
    return better - above, ties - tied


def ties_without_self(weight: F64) -> F64:
    """Numbers of items of the ties of one query [n], the best first, without the query: nothing has a higher score.

    >>> ties_without_self(np.array([3.0, 2.0])).tolist()
    [2.0, 2.0]
    """
    return np.asarray(weight - (np.arange(len(weight)) == 0))


def hits(better: F64, ties: F64, k: int) -> F64:
    """Chance [P] that the target is among the k best: min(1, max(0, (k - r) / t)).

    Args:
        better: [P], r, candidates with a higher score.
        ties: [P], t, those with the same one, target included.

    >>> hits(np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 1.0]), 2).tolist()
    [1.0, 0.5, 0.0]
    """
    return np.clip((k - better) / ties, 0.0, 1.0)


def best(query: I64, score: F64, key: I64, keep: int) -> NDArray[np.intp]:
    """Rows of the `keep` best candidates of every query, query after query, the best first; ties by the lowest key.

    The best of some parts are the best of the best of each part.

    Args:
        query, score, key: [n], of every candidate.

    >>> best(np.array([0, 0, 0]), np.array([0.5, 0.9, 0.5]), np.array([7, 8, 6]), 2).tolist()
    [1, 2]
    """
    order = np.lexsort((-score, query))
    run = np.cumsum(_run_starts(query[order], score[order]))
    order = order[np.lexsort((key[order], run))]
    ordered = query[order]
    place = np.arange(len(ordered)) - ordered.searchsorted(ordered)
    return np.asarray(order[place < keep])


def tied_weights(query: I64, score: F64, weight: F64, keep: int) -> tuple[I64, F64, F64]:
    """Ties of every query as one row (query, score, sum of weights), the best first, until their weight is `keep`.

    The ties of some parts are the ties of the ties of each part.

    >>> [part.tolist() for part in tied_weights(np.array([0, 0, 0]), np.array([0.5, 0.9, 0.5]), np.ones(3), 3)]
    [[0, 0], [0.9, 0.5], [1.0, 2.0]]
    """
    if not len(query):
        return query, score, weight
    order = np.lexsort((-score, query))
    first = np.flatnonzero(_run_starts(query[order], score[order]))
    total = np.add.reduceat(weight[order], first)
    query, score = query[order][first], score[order][first]
    ahead = np.cumsum(total) - total
    kept = ahead - ahead[query.searchsorted(query)] < keep
    return query[kept], score[kept], total[kept]


def _run_starts(query: I64, score: F64) -> NDArray[np.bool_]:
    """Whether each of some rows, in falling order of the score within a query, is more than a tie below the last."""
    starts = np.ones(len(query), bool)
    starts[1:] = (query[1:] != query[:-1]) | (score[:-1] - score[1:] > TIE)
    return starts


def cuts(query: I64, score: F64, weight: F64, keep: int, queries: int) -> F64:
    """Score [queries] below which no candidate can be among the `keep` best; -inf where there are not so many yet.

    >>> cuts(np.array([0, 0, 1]), np.array([0.5, 0.9, 0.3]), np.ones(3), 2, 2).tolist()
    [0.5, -inf]
    """
    lowest = np.full(queries, np.inf)
    np.minimum.at(lowest, query, score)
    return np.where(np.bincount(query, weight, minlength=queries) >= keep, lowest, -np.inf)


def chance_in_top(score: F64, tied_score: F64, tied_weight: F64, k: int) -> F64:
    """Chance [n] that candidates with these scores are among the k best of all candidates of one query.

    1 above the score c of the k-th best, (k - a) / t at it, 0 below; a candidates are above c, t at it.

    Args:
        score: [n].
        tied_score, tied_weight: As from `tied_weights`, of weight k or more.

    >>> chance_in_top(np.array([0.9, 0.5, 0.1]), np.array([0.9, 0.5]), np.array([1.0, 4.0]), 3).tolist()
    [1.0, 0.5, 0.0]
    """
    ahead = np.cumsum(tied_weight)
    at = int(ahead.searchsorted(k))
    chance = (k - ahead[at] + tied_weight[at]) / tied_weight[at]
    cut = tied_score[at]
    return np.where(score > cut + TIE, 1.0, np.where(score >= cut - TIE, chance, 0.0))
