"""States moved and read on executors, which need torch for it; many users at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drq_spark.arrays import F32, I32, I64
from drq_spark.probe.behaviour_data import NO_ITEM

if TYPE_CHECKING:
    from drq_spark.probe.user_memory import FittedMemory
    from drq_spark.ship import Shipped


class MovedStates:
    """For mapInArrow: rows with a state and the codes of new events in order -> the same with the state after them.

    The state is list<float>, NULL for none yet; codes are list<list<int>>, and go.
    """

    def __init__(self, memory: Shipped[FittedMemory], levels: int) -> None:
        self.memory, self.levels = memory, levels

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        memory = fitted(self.memory)
        for batch in batches:
            items, lengths, codes = told_items(batch.column("codes"), self.levels)
            moved = moved_states(memory.knowing(codes), states_of(batch.column("state"), memory), items, lengths)
            place = batch.schema.get_field_index("state")
            yield batch.set_column(place, batch.schema.field(place), _lists(moved)).drop_columns(["codes"])


class StateScores:
    """For mapInArrow: rows with a state (as above) and the codes of an item (list<int>) -> a score in place of both."""

    def __init__(self, memory: Shipped[FittedMemory], levels: int) -> None:
        self.memory, self.levels = memory, levels

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        memory = fitted(self.memory)
        for batch in batches:
            codes = _numbers(batch.column("codes"), np.int32).reshape(-1, self.levels)
            shown = np.arange(len(codes), dtype=np.int32)[:, None]
            scores = memory.knowing(codes).state_scores(states_of(batch.column("state"), memory), shown)[:, 0]
            yield batch.drop_columns(["state", "codes"]).append_column("score", pa.array(scores))


def moved_states(memory: FittedMemory, state: F32, items: I32, lengths: I64) -> F32:
    """States float32 [q, S] after the events of each user, items int32 [m] of one user after another, q lengths.

    Users with about as many events are moved together; which they are changes no bit, see `FittedMemory.update`.
    """
    from drq_spark.probe.user_memory import MOVED_TOGETHER  # loads torch

    begins = np.cumsum(lengths) - lengths
    order = np.argsort(lengths, kind="stable")
    moved = np.empty_like(state)
    for first in range(0, len(order), MOVED_TOGETHER):
        users = order[first : first + MOVED_TOGETHER]
        nth = np.arange(lengths[users].max(initial=0))
        known = nth < lengths[users, None]
        places = np.where(known, begins[users, None] + nth, 0)
        moved[users] = memory.update(state[users], np.where(known, items[places], NO_ITEM).astype(np.int32))
    return moved


def told_items(lists: pa.ListArray, levels: int) -> tuple[I32, I64, I32]:
    """Events as items: rows int32 [m] among the different SIDs, events of each list [q], these SIDs int32 [n, L]."""
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    every = _numbers(lists.flatten(), np.int32).reshape(-1, levels)
    different, rows = np.unique(every, axis=0, return_inverse=True)
    return rows.reshape(-1).astype(np.int32), lengths, different


def states_of(lists: pa.ListArray, memory: FittedMemory) -> F32:
    """States float32 [q, S]; that of NULL is a user's without events."""
    states = memory.start(len(lists))
    states[lists.is_valid().to_numpy(zero_copy_only=False)] = _numbers(lists, np.float32).reshape(-1, states.shape[1])
    return states


def fitted(shipped: Shipped[FittedMemory]) -> FittedMemory:
    """The ranker; a task has one core, and torch would take all."""
    import torch

    torch.set_num_threads(1)
    return shipped.value()


def _numbers(lists: pa.ListArray, kind: type[np.float32] | type[np.int32]) -> np.ndarray:
    return np.asarray(lists.flatten().to_numpy(zero_copy_only=False), kind)


def _lists(rows: F32) -> pa.ListArray:
    ends = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(rows.reshape(-1)))
