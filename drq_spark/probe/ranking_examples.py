"""What rankers learn from: every event of the training part that has an earlier one of its user, with its history.

Beside the item that came stand some that did not, drawn as often as the training part has them: so what is merely
popular is worth nothing, and the balanced log loss of knowing nothing is ln 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from drq_spark.arrays import I32, I64
from drq_spark.probe.behaviour_data import NO_ITEM, Sequences

_BATCHES_SORTED_TOGETHER = 32
_GOES = 8  # at drawing an item that is not the target; where one item is nearly all events some stay


class Batch(NamedTuple):
    """Examples: histories int64 [b, H], and the items shown int64 [b, 1 + negatives], the one that came first."""

    history: Tensor
    shown: Tensor


class RankingExamples:
    """The examples of a training part.

    Args:
        sequences: Items of each user in order.
        history: Items that a model looks back at.
        negatives: Items beside each that came.
        seed: Of the order and of the negatives.
    """

    def __init__(self, sequences: Sequences, history: int, negatives: int, seed: int) -> None:
        self.items, self.history, self.negatives = sequences.items, history, negatives
        self.begins = np.repeat(sequences.starts[:-1], np.diff(sequences.starts))
        self.events = np.flatnonzero(np.arange(len(self.items)) > self.begins)
        self.rng = np.random.default_rng((seed, 0x52414E4B))

    def __len__(self) -> int:
        return len(self.events)

    def batches(self, size: int) -> Iterator[Batch]:
        """One pass in random order; events with about as many items before them stand together, to pad little."""
        order = self.rng.permutation(self.events)
        earlier = order - self.begins[order]
        group = np.arange(len(order)) // (size * _BATCHES_SORTED_TOGETHER)
        order = order[np.lexsort((np.minimum(earlier, self.history), group))]
        starts = np.arange(0, len(order), size)
        for start in self.rng.permutation(starts):
            yield self.batch(order[start : start + size])

    def batch(self, events: I64) -> Batch:
        """The examples of these places in `items`."""
        longest = int(min(self.history, (events - self.begins[events]).max()))
        places = events[:, None] - np.arange(longest, 0, -1)
        known = places >= self.begins[events][:, None]
        history = np.where(known, self.items[np.where(known, places, 0)], NO_ITEM)
        target = self.items[events]
        shown = np.concatenate([target[:, None], others_than(target, self.negatives, self.items, self.rng)], axis=1)
        return Batch(torch.from_numpy(history.astype(np.int64)), torch.from_numpy(shown.astype(np.int64)))


def others_than(target: I32, count: int, items: I32, rng: np.random.Generator) -> I32:
    """int32 [..., count] drawn from items int32 [m] for each target [...], drawn again where it is the target."""
    drawn = items[rng.integers(0, len(items), (*target.shape, count))]
    for _ in range(_GOES):
        same = drawn == target[..., None]
        drawn[same] = items[rng.integers(0, len(items), int(same.sum()))]
    return drawn
