"""Events of synthetic users: walks in the neighbourhoods of a catalogue, and leaps to popular items.

Executors run it, so it needs numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drq_spark.arrays import F64, I64
from drq_spark.formulas.noise import uniforms
from drq_spark.synth.likeness import Likeness, Shape, keys

LONGEST = 200
"""Events a user has at most."""
DAYS = 60
"""Days in which users begin."""
_BEGIN, _STEP = 10, 100  # streams of `uniforms` for users; those of steps go up from there
_PAUSE = 3600.0  # seconds between two events, on average


@dataclass(frozen=True)
class Walks:
    """Events of some users, m of them, those of a user in order.

    Attributes:
        user: int64 [m]. item: int64 [m]. second: float64 [m], seconds since the first day; rises within a user.
    """

    user: I64
    item: I64
    second: F64


def walks(users: I64, likeness: Likeness, shape: Shape) -> Walks:
    """The events of users, from their numbers int64 [n] alone.

    A user has a geometric number of events, at least 2 and at most `LONGEST`. The first item, and with probability
    1 - walk every later one, is met by popularity; else the step goes to an item like a neighbour of the item before
    (or like the same real one), early ones more often.
    """
    own = keys(users, shape.seed)
    drawn = uniforms(own, 2, _BEGIN)
    lengths = _lengths(drawn[:, 0], shape.mean_events)
    second = drawn[:, 1] * DAYS * 86_400
    item = np.zeros(len(users), np.int64)
    parts = []
    for step in range(int(lengths.max(initial=0))):
        going = np.flatnonzero(lengths > step)
        u = uniforms(own[going], 4, _STEP + step)
        leaps = by_popularity(u[:, 1], shape)
        item[going] = (
            leaps if step == 0 else np.where(u[:, 0] < shape.walk, _near(item[going], u, likeness, shape), leaps)
        )
        second[going] += 1.0 - _PAUSE * np.log(u[:, 3])
        parts.append(Walks(users[going], item[going], second[going]))
    return _by_user(parts)


def by_popularity(u: F64, shape: Shape) -> I64:
    """Items, int64 [n], for uniforms [n]: the inverse of the distribution whose density falls as (rank + 1)^-z."""
    rise = 1.0 - shape.zipf
    if abs(rise) < 1e-9:
        rank = np.exp(u * np.log(shape.items + 1.0)) - 1.0
    else:
        rank = ((((shape.items + 1.0) ** rise - 1.0) * u + 1.0) ** (1.0 / rise)) - 1.0
    return np.asarray(np.minimum(rank.astype(np.int64), shape.items - 1))


def expected_events(items: I64, shape: Shape) -> F64:
    """Events that a leap is expected to bring each item, float64 [n]: what its exposure is made of."""
    low, high = items + 1.0, items + 2.0
    rise = 1.0 - shape.zipf
    if abs(rise) < 1e-9:
        share = np.log(high / low) / np.log(shape.items + 1.0)
    else:
        share = (high**rise - low**rise) / ((shape.items + 1.0) ** rise - 1.0)
    return np.asarray(shape.users * shape.mean_events * share)


def _lengths(u: F64, mean: float) -> I64:
    """2 + a geometric number with mean `mean` - 2, at most `LONGEST`."""
    more = np.floor(np.log(u) / np.log1p(-1.0 / (mean - 1.0)))
    return np.asarray(np.minimum(2 + more, LONGEST), np.int64)


def _near(items: I64, u: F64, likeness: Likeness, shape: Shape) -> I64:
    """A step from each item [n] to one like a neighbour of the real item that it is like, or like that itself."""
    real, size = likeness.parents(items), len(likeness.vectors)
    choices = likeness.neighbours.shape[1] + 1
    chosen = (u[:, 1] * choices).astype(np.int64)
    neighbour = likeness.neighbours[real, np.maximum(chosen - 1, 0)]
    target = np.where(chosen == 0, real, np.minimum(neighbour, shape.items - 1))
    children = (shape.items - 1 - target) // size + 1
    child = np.minimum(np.exp(u[:, 2] * np.log(children + 1.0)).astype(np.int64) - 1, children - 1)
    return np.asarray(target + size * child, np.int64)


def _by_user(parts: list[Walks]) -> Walks:
    """All steps together, sorted by user and, within a user, by step."""
    user, item, second = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("user", "item", "second")
    )
    order = np.argsort(user, kind="stable")
    return Walks(user[order], item[order], second[order])
