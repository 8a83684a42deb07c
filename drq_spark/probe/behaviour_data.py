"""What downstream models are trained on and asked: candidate items, sequences of items, questions.

All of it is of a size that the settings bound, and lies on the driver. A model calls an item by its row among the
candidates, from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32, I32, I64

NO_ITEM = -1
"""In place of an item where a history is shorter than its array."""


@dataclass(frozen=True)
class Candidates:
    """The items that can be recommended, n of them.

    Attributes:
        x: float32 [n, D], prepared embeddings.
        codes: int32 [n, L], SIDs.
        codebook_sizes: K of each level.
        suffix: int64 [n], numbers from 0 that tell items of one SID apart.
        attributes: int32 [n, A], number of the value of each attribute, coarse ones first; 0 where an item has none.
        attribute_sizes: One more than the largest number of each attribute.
        trained_events: int64 [n], events in the training part; an item with none is cold.
    """

    x: F32
    codes: I32
    codebook_sizes: tuple[int, ...]
    suffix: I64
    attributes: I32
    attribute_sizes: tuple[int, ...]
    trained_events: I64

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def cold(self) -> NDArray[np.bool_]:
        """Which items have no event in the training part, bool [n]."""
        return np.asarray(self.trained_events == 0)


@dataclass(frozen=True)
class Sequences:
    """The training part: items of each user in order, users one after another.

    Attributes:
        starts: int64 [u + 1], where the items of each user begin in `items`, and where those of the last end.
        items: int32 [m], rows of candidates.
    """

    starts: I64
    items: I32

    def __len__(self) -> int:
        return len(self.starts) - 1

    def windows(self, length: int) -> I32:
        """The last items before and at the end of pieces of users, int32 [w, length], `NO_ITEM` in front.

        A user with more items has several pieces, cut from the end; a piece begins with the last item of the one
        before, so that every step from an item to the next is in exactly one piece. Users with one item have none.
        """
        lengths = np.diff(self.starts)
        pieces = np.where(lengths > 1, -(-(lengths - 1) // (length - 1)), 0)
        user = np.repeat(np.arange(len(self)), pieces)
        nth = np.arange(len(user)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        end = self.starts[1:][user] - nth * (length - 1)
        places = end[:, None] - np.arange(length, 0, -1)
        inside = places >= self.starts[:-1][user][:, None]
        return np.where(inside, self.items[np.where(inside, places, 0)], NO_ITEM).astype(np.int32)


@dataclass(frozen=True)
class Questions:
    """What comes next? q events of users whose earlier events are known.

    Attributes:
        history: int32 [q, H], rows of candidates before the event, the latest last, `NO_ITEM` in front.
        target: int32 [q], the item of the event.
        others: int32 [q, C], items that did not come, drawn as often as the training part has them.
        users: int64 [q], a number for the user of each.
    """

    history: I32
    target: I32
    others: I32
    users: I64

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True)
class BehaviourData:
    """Everything a downstream model is trained on and judged by; the same for every tokenizer, but for the SIDs.

    Attributes:
        candidates: The items.
        training: What models learn from.
        validation: Questions that say when to stop and which of two settings is better.
        test: Questions that nothing is chosen by.
    """

    candidates: Candidates
    training: Sequences
    validation: Questions
    test: Questions
