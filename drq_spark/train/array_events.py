"""What users did, given as arrays: the pairs that `inputs.consecutive` and `sample.pairs` make of a table."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32, F64, I64
from drq_spark.config import Config
from drq_spark.errors import InputRefused
from drq_spark.sample.values import Behaviour

_TIES_STREAM, _USERS_STREAM, _PAIRS_STREAM = 1_001, 1_002, 1_003  # purposes of random numbers
_UNKNOWN = -1
_FORMS = (
    "events must be (user, item, order) as three columns of equal length, pairs of items as an integer array [p, 2], "
    "or sequences of items as a list of lists"
)


@dataclass(frozen=True)
class ArrayEvents:
    """Events in the order of users and, within a user, of what followed what.

    Attributes:
        user: int64 [e], numbers of users from 0.
        item: int64 [e], rows of the embeddings; `_UNKNOWN` only where an unknown item parts its neighbours.
        tied: bool [e], whether the event stands at the same position as the one before it.
    """

    user: I64
    item: I64
    tied: NDArray[np.bool_]

    def counts(self, rows: int) -> F64:
        """Events of each item, float64 [n]."""
        return np.bincount(self.item[self.item != _UNKNOWN], minlength=rows).astype(np.float64)


def read_events(events: Any, rows: int, ids: Sequence[Hashable] | NDArray[Any] | None, config: Config) -> ArrayEvents:
    """The events of `array_fit.fit`, in any of their forms.

    Args:
        events: See `array_fit.fit`.
        rows: How many items there are.
        ids: [rows], what they are called; None where events have their rows.
        config: `events.unknown` and the seed.

    Raises:
        InputRefused: another form, columns of other types, or items that are not there.
    """
    columns = _columns(events)
    user, item, order = _sequences(events) if columns is None else columns
    known = ~(_missing(user) | _missing(order))
    user, item, order = user[known], item[known], order[known]
    place = _rows_of(item, rows, ids)
    if config.events.unknown == "bridge":
        user, place, order = (part[place != _UNKNOWN] for part in (user, place, order))
    number, position = _numbered(user, "user"), _positions(order)
    tie = np.random.default_rng((config.seed, _TIES_STREAM)).random(len(number))
    sorted_by = np.lexsort((tie, position, number))
    number, position = number[sorted_by], position[sorted_by]
    tied = np.zeros(len(number), bool)
    tied[1:] = (number[1:] == number[:-1]) & (position[1:] == position[:-1])
    return ArrayEvents(number, place[sorted_by], tied)


def _columns(events: Any) -> tuple[NDArray[Any], ...] | None:
    """The columns user, item and order; None where the events are sequences or pairs."""
    if isinstance(events, Mapping):
        parts = list(events.values())
    elif isinstance(events, tuple):
        parts = list(events)
    elif hasattr(events, "columns"):  # a data frame of pandas or polars
        parts = [events[name] for name in events.columns]
    else:
        return None
    try:
        columns = tuple(np.asarray(part) for part in parts)
    except ValueError:
        raise InputRefused(f"{_FORMS}, not columns of rows of several lengths") from None
    if len(columns) != 3 or {part.shape for part in columns} != {(len(columns[0]),)}:
        raise InputRefused(f"{_FORMS}, not {len(columns)} columns of shapes {[part.shape for part in columns]}")
    return columns


def _sequences(events: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Pairs or sequences of items as events: every sequence is a user."""
    if isinstance(events, np.ndarray) and (events.ndim != 2 or events.shape[1] != 2):
        raise InputRefused(f"{_FORMS}, not an array of shape {events.shape}")
    if not isinstance(events, np.ndarray | list) or not all(map(_is_sequence, events)):
        raise InputRefused(f"{_FORMS}, not {type(events).__name__}")
    lengths = np.array([len(row) for row in events], np.int64)
    flat = events.reshape(-1) if isinstance(events, np.ndarray) else _array(chain.from_iterable(events))
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.repeat(np.arange(len(lengths)), lengths), flat, np.arange(len(flat)) - first


def _is_sequence(row: Any) -> bool:
    return isinstance(row, Sequence | np.ndarray) and not isinstance(row, str | bytes)


def _array(values: Iterable[Any]) -> NDArray[Any]:
    listed = list(values)
    return np.array(listed) if listed else np.empty(0, np.int64)


def _missing(column: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a column has None, NaN or no time."""
    if column.dtype.kind == "f":
        return np.asarray(np.isnan(column))
    if column.dtype.kind in "mM":
        return np.asarray(np.isnat(column))
    if column.dtype.kind == "O":
        return np.array([value is None or value != value for value in column.tolist()], bool)
    return np.zeros(len(column), bool)


def _rows_of(items: NDArray[Any], rows: int, ids: Sequence[Hashable] | NDArray[Any] | None) -> I64:
    """Rows int64 [e] of the items of events, `_UNKNOWN` for those that `ids` does not have.

    Raises:
        InputRefused: ids that are not one a row, no item known, or rows that there are not.
    """
    if ids is None:
        return _as_rows(items, rows)
    listed = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    row_of = {name: row for row, name in enumerate(listed)}
    if len(listed) != rows or len(row_of) != rows:
        raise InputRefused(f"ids must be {rows:,} different names, one a row of x; {len(row_of):,} are given")
    found = np.array([row_of.get(name, _UNKNOWN) for name in items.tolist()], np.int64)
    if len(found) and (found == _UNKNOWN).all():
        raise InputRefused(
            f"events: no item is among the ids; items of events are such as {items.tolist()[0]!r}, ids {listed[0]!r}"
        )
    return found


def _as_rows(items: NDArray[Any], rows: int) -> I64:
    if items.dtype.kind not in "iu":
        raise InputRefused(f"events: items are {items.dtype}, not rows of x: name the items with ids=...")
    if len(items) and not (items.min() >= 0 and items.max() < rows):
        wrong = items.min() if items.min() < 0 else items.max()
        raise InputRefused(f"events: item {wrong} is no row of x, which has {rows:,}: name the items with ids=...")
    return items.astype(np.int64)


def _numbered(column: NDArray[Any], what: str) -> I64:
    """Ranks of values, int64 [e] from 0."""
    try:
        return np.unique(column, return_inverse=True)[1].astype(np.int64)
    except TypeError:
        raise InputRefused(f"events: values of {what} are of types that cannot be compared") from None


def _positions(order: NDArray[Any]) -> I64:
    if order.dtype.kind in "US" or (order.dtype.kind == "O" and any(isinstance(value, str) for value in order)):
        raise InputRefused("events: order is text, and 10 would come before 9: make it numbers or times")
    return _numbered(order, "order")


def behaviour_of(events: ArrayEvents, x: F32, split_key: I64, config: Config) -> Behaviour:
    """Pairs of different items that follow one another, and the items in them.

    Users are held out and pairs drawn as `sample.pairs` says: at most `events.max_pairs`, of at most `sample.size`
    items.

    Args:
        events: All events.
        x: float32 [n, D], the embeddings of all items.
        split_key: int64 [n], see `sample.values.Sample`.
        config: Settings.

    Raises:
        InputRefused: no pair is left.
    """
    pairs, user = _pairs(events, config)
    if not len(pairs):
        raise InputRefused("events: no user has two different items: does every event have a user of its own?")
    users = np.random.default_rng((config.seed, _USERS_STREAM)).random(int(events.user.max()) + 1)
    pairs, held_out = _drawn(pairs, users[user] < config.events.holdout, config)
    touched, place = np.unique(pairs, return_inverse=True)
    place = place.reshape(pairs.shape).astype(np.int64)
    return Behaviour(x[touched], split_key[touched], place[~held_out], place[held_out])


def _pairs(events: ArrayEvents, config: Config) -> tuple[I64, I64]:
    """Pairs int64 [p, 2] and their users int64 [p]."""
    first, second = events.item[:-1], events.item[1:]
    pair = (events.user[:-1] == events.user[1:]) & (first != second) & (first != _UNKNOWN) & (second != _UNKNOWN)
    if config.events.ties == "part":
        pair &= ~events.tied[1:]
    return np.stack([first, second], axis=1)[pair], events.user[:-1][pair]


def _drawn(pairs: I64, held_out: NDArray[np.bool_], config: Config) -> tuple[I64, NDArray[np.bool_]]:
    """The pairs that training gets, in random order, and which of them only judge."""
    order = np.random.default_rng((config.seed, _PAIRS_STREAM)).permutation(len(pairs))
    pairs, held_out = pairs[order], held_out[order]
    most = config.events.max_pairs
    rank = np.where(held_out, np.cumsum(held_out), np.cumsum(~held_out))
    kept = rank <= np.where(held_out, int(most * config.events.holdout), most)
    pairs, held_out = pairs[kept], held_out[kept]
    first = np.sort(np.unique(pairs, return_index=True)[1])
    if len(first) > config.sample.size:
        beyond = int(first[config.sample.size]) // 2  # the pair that brings one item too many
        pairs, held_out = pairs[:beyond], held_out[:beyond]
    return pairs, held_out
