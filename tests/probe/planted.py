"""Behaviour with and without a rule: the next item is decided by the codes of the last one, or by nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drq_spark.arrays import I32
from drq_spark.probe.behaviour_data import NO_ITEM, BehaviourData, Candidates, Questions, Sequences

SIZES = (6, 5)
TWINS = 2  # items of each SID
ITEMS = 60
LENGTH = 10


def candidates(seed: int = 0) -> Candidates:
    """Two items for each SID, with an attribute that is half of the first code, and embeddings near for near codes."""
    rng = np.random.default_rng(seed)
    codes = np.stack(np.unravel_index(np.arange(ITEMS) // TWINS, SIZES), axis=1).astype(np.int32)
    suffix = np.arange(ITEMS, dtype=np.int64) % TWINS
    books = [rng.normal(size=(size, 12)) * scale for size, scale in zip(SIZES, (1.0, 0.3), strict=True)]
    x = sum(book[code] for book, code in zip(books, codes.T, strict=True)) + 0.03 * rng.normal(size=(ITEMS, 12))
    attributes = codes[:, :1] // 2 + 1
    return Candidates(x.astype(np.float32), codes, SIZES, suffix, attributes, (4,), np.zeros(ITEMS, np.int64))


def walks(users: int, seed: int, rule: bool) -> I32:
    """Items int32 [users, LENGTH]: with a rule the next has the same first code, the next second code, and either twin.

    Nothing else tells which item comes; without a rule every item is as likely as any other.
    """
    rng = np.random.default_rng((seed, 1))
    first, second = (rng.integers(0, size, (users, LENGTH if not rule else 1)) for size in SIZES)
    steps = np.arange(LENGTH) if rule else 0
    twin = rng.integers(0, TWINS, (users, LENGTH))
    return ((first * SIZES[1] + (second + steps) % SIZES[1]) * TWINS + twin).astype(np.int32)


def questions(known: I32, target: I32) -> Questions:
    """What comes after histories that begin with a missing item."""
    history = np.concatenate([np.full((len(known), 1), NO_ITEM, np.int32), known], axis=1)
    return Questions(history, target, np.zeros((len(target), 0), np.int32), np.arange(len(target)))


def behaviour(rule: bool, users: int = 200, seed: int = 0) -> BehaviourData:
    """Sequences of some users, the last two items of each kept for validation and test."""
    items = walks(users, seed, rule)
    trained = items[:, :-2]
    events = np.bincount(trained.ravel(), minlength=ITEMS)
    starts = np.arange(users + 1) * trained.shape[1]
    return BehaviourData(
        replace(candidates(seed), trained_events=events),
        Sequences(starts, trained.ravel()),
        questions(items[:, :-2], items[:, -2]),
        questions(items[:, :-1], items[:, -1]),
    )
