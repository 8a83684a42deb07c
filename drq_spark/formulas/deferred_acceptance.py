"""Who gets which place where several ask for one: deferred acceptance (Gale and Shapley 1962).

Every asker goes through its places in its own order. A place keeps those with the strongest claims among all that have
asked so far, as many as it has room for, and refuses the others, who ask for their next place. The outcome is the
stable matching that is best for the askers; it does not depend on the order in which they ask.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F64, I64


def accepted(asker: I64, place: I64, claim: F64, room: I64) -> NDArray[np.bool_]:
    """Which asks are granted, bool [a]; at most one of each asker.

    Args:
        asker: int64 [a]; the asks of one asker stand together, in the order in which it prefers them.
        place: int64 [a], what is asked for; an asker asks once for a place.
        claim: float64 [a], the strength of the ask: the strongest are kept, of equal ones the lowest askers.
        room: int64 [a], how many the place takes, at least 1.
    """
    starts = _begins(asker)
    ends = np.append(starts[1:], len(asker)).astype(np.int64)
    current = starts.copy()
    while True:
        asks = current[current < ends]
        refused = asks[_ahead(place[asks], claim[asks], asker[asks]) >= room[asks]]
        if not len(refused):
            granted = np.zeros(len(asker), np.bool_)
            granted[asks] = True
            return granted
        current[np.searchsorted(starts, refused, side="right") - 1] += 1


def claims_of(asker: I64, cost: F64) -> F64:
    """What each ask would lose if it were refused: cost of the asker's next one - its own; infinite for the last one.

    Args:
        asker, cost: [a], as for `accepted`.
    """
    claim = np.full(len(cost), np.inf)
    claim[:-1] = np.where(asker[1:] == asker[:-1], cost[1:] - cost[:-1], np.inf)
    return claim


def spread_out(keys: I64, cost: F64, group: I64, capacity: int) -> NDArray[np.int64]:
    """Which of its SIDs each item of a whole catalogue gets if none is to have more than `capacity` groups: [n].

    Those who lose most by moving stay, the others take their cheapest SID that has room; an item that finds none stays
    where it is, beyond the capacity. What `drq_spark.assign.spread` does on Spark, for a catalogue in memory.

    Args:
        keys, cost: [n, m], the SIDs that an item could have, its own first, and what each costs it.
        group: int64 [n], equal for items that count as one: those with the same embedding.
    """
    _, first, member = np.unique(group, return_index=True, return_inverse=True)
    keys, cost = keys[first], cost[first]
    units = np.arange(len(keys))
    own, at, asked = np.unique(keys[:, 0], return_inverse=True, return_counts=True)
    found = np.searchsorted(own, keys).clip(max=len(own) - 1)
    room = capacity - np.where(own[found] == keys, asked[found], 0)
    open_to = (room > 0) & (asked[at] > capacity)[:, None]
    open_to[:, 0] = False
    cheapest = np.where(open_to, cost, np.inf).min(axis=1)
    leaving = _ahead(keys[:, 0], cheapest - cost[:, 0], units) >= capacity
    asker, rank = np.nonzero(open_to & leaving[:, None])
    granted = accepted(asker, keys[asker, rank], claims_of(asker, cost[asker, rank]), room[asker, rank])
    chosen = np.zeros(len(keys), np.int64)
    chosen[asker[granted]] = rank[granted]
    return np.asarray(chosen[member])


def _begins(group: I64) -> I64:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.concatenate([np.ones(min(len(group), 1), np.bool_), group[1:] != group[:-1]]))


def _ahead(place: I64, claim: F64, asker: I64) -> I64:
    """How many others with the same place have a stronger claim, or an equal one and a lower number: int64 [a]."""
    order = np.lexsort((asker, -claim, place))
    begins = _begins(place[order])
    ahead = np.empty(len(place), np.int64)
    ahead[order] = np.arange(len(place)) - begins.repeat(np.diff(np.append(begins, len(place))))
    return ahead
