"""Deferred acceptance against proposals one after the other, and by hand."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from drq_spark.formulas.deferred_acceptance import accepted, claims_of, spread_out


def one_by_one(asks: dict[int, list[tuple[int, float]]], room: dict[int, int]) -> dict[int, int]:
    """Asker -> place: askers propose one after the other; the weakest of a full place is bumped."""
    held: dict[int, list[tuple[float, int]]] = {place: [] for place in room}
    turn, free = dict.fromkeys(asks, 0), list(asks)
    while free:
        asker = free.pop()
        if turn[asker] == len(asks[asker]):
            continue
        place, claim = asks[asker][turn[asker]]
        held[place].append((-claim, asker))
        if len(held[place]) > room[place]:
            bumped = max(held[place])
            held[place].remove(bumped)
            turn[bumped[1]] += 1
            free.append(bumped[1])
    return {asker: place for place, holders in held.items() for _, asker in holders}


@given(seed=st.integers(0, 2**20), askers=st.integers(0, 30), places=st.integers(1, 12), most=st.integers(1, 5))
def test_equals_proposals_one_after_the_other(seed: int, askers: int, places: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    room = {place: int(rng.integers(1, 4)) for place in range(places)}
    asks = {
        asker: [(int(place), float(rng.integers(4))) for place in rng.permutation(places)[: rng.integers(1, most + 1)]]
        for asker in range(0, 2 * askers, 2)
    }
    rows = [(asker, place, claim, room[place]) for asker, wanted in asks.items() for place, claim in wanted]
    asker, place, claim, rooms = (np.array([row[column] for row in rows]) for column in range(4))
    given_ = accepted(asker.astype(np.int64), place.astype(np.int64), claim.astype(float), rooms.astype(np.int64))
    assert {rows[row][0]: rows[row][1] for row in np.flatnonzero(given_)} == one_by_one(asks, room)


def test_claims_are_what_the_next_place_costs_more() -> None:
    asker, cost = np.array([3, 3, 3, 5, 9, 9]), np.array([1.0, 1.5, 4.0, 2.0, 0.0, 0.25])
    assert claims_of(asker, cost).tolist() == [0.5, 2.5, np.inf, np.inf, 0.25, np.inf]


def spread_by_hand(keys: list[list[int]], cost: list[list[float]], capacity: int) -> list[int]:
    """Which of its SIDs each of some different items gets."""
    own = [row[0] for row in keys]
    room = {sid: capacity - own.count(sid) for row in keys for sid in row}
    free = [[rank for rank in range(1, len(row)) if room[row[rank]] > 0] for row in keys]
    loss = [c[f[0]] - c[0] if f else np.inf for c, f in zip(cost, free, strict=True)]
    asks = {}
    for sid in sorted(set(own)):
        askers = sorted((-loss[item], item) for item in range(len(keys)) if own[item] == sid)
        for _, item in askers[capacity:]:
            ranks = free[item]
            losses = [cost[item][b] - cost[item][a] for a, b in itertools.pairwise(ranks)] + [np.inf] * bool(ranks)
            asks[item] = [(keys[item][rank], claim) for rank, claim in zip(ranks, losses, strict=True)]
    got = one_by_one(asks, {sid: left for sid, left in room.items() if left > 0})
    return [keys[item].index(got[item]) if item in got else 0 for item in range(len(keys))]


@given(
    seed=st.integers(0, 2**20), items=st.integers(1, 40), ranks=st.integers(1, 5), space=st.integers(5, 40),
    capacity=st.integers(1, 3),
)  # fmt: skip
def test_a_catalogue_is_spread_as_by_hand(seed: int, items: int, ranks: int, space: int, capacity: int) -> None:
    rng = np.random.default_rng(seed)
    keys = np.stack([rng.permutation(space)[:ranks] for _ in range(items)]).astype(np.int64)
    cost = rng.integers(0, 6, (items, ranks)).astype(np.float64)
    cost[:, 1:].sort(axis=1)
    found = spread_out(keys, cost, np.arange(items), capacity)
    assert found.tolist() == spread_by_hand(keys.tolist(), cost.tolist(), capacity)


def test_who_loses_most_stays_and_equal_items_go_together() -> None:
    keys = np.array([[7, 1], [7, 2], [7, 3], [7, 3]])
    cost = np.array([[0.0, 1.0], [0.0, 5.0], [0.0, 2.0], [0.0, 2.0]])
    assert spread_out(keys, cost, np.array([0, 1, 2, 2]), 1).tolist() == [1, 0, 1, 1]
    assert spread_out(keys, cost, np.arange(4), 1).tolist() == [1, 0, 1, 0]  # there is one place 3 only
