"""Lists of items from scores, and whether a list may name what the user has had.

Papers on sequences differ here and seldom say what they do, so the events decide, and decide alike for every model:
where users come back to items, their return is a part of what is asked; where they never do, a list that names the
history would waste its places, and a model that goes by likeness would name nothing else.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from drq_spark.arrays import I32
from drq_spark.probe.behaviour_data import NO_ITEM, Sequences

_RETURNS = 0.05  # share of the events; where fewer are returns, a list without them can name more of the rest
BLOCK_ELEMENTS = 2**22
"""Scores that are held at one time."""


def returns_to_items(training: Sequences) -> bool:
    """Whether users come back to items: at least 1 in 20 training events is of an item that the user has had before."""
    if not len(training.items):
        return True
    user = np.repeat(np.arange(len(training), dtype=np.int64), np.diff(training.starts))
    width = int(training.items.max()) + 1
    different = len(np.unique(user * width + training.items))
    return 1 - different / len(training.items) >= _RETURNS


def best_items(scores: Tensor, count: int, left_out: I32 | None) -> I32:
    """The rows of the highest scores, highest first: float32 [q, n] -> int32 [q, count], `NO_ITEM` behind the last.

    Args:
        scores: [q, n], written to; -inf for an item that may not be named.
        left_out: int32 [q, H], items of each row that may not be named, `NO_ITEM` for none.
    """
    if left_out is not None:
        row, place = np.nonzero(left_out != NO_ITEM)
        scores[torch.from_numpy(row), torch.from_numpy(left_out[row, place].astype(np.int64))] = -torch.inf
    best = scores.topk(min(count, scores.shape[1]), dim=1)
    listed = np.full((len(scores), count), NO_ITEM, np.int32)
    named = torch.where(best.values > -torch.inf, best.indices, NO_ITEM)
    listed[:, : named.shape[1]] = named.numpy()
    return listed
