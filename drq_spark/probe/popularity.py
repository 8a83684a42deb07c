"""The baseline that knows no user: the items with the most events in the training part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from drq_spark.arrays import I32, I64
from drq_spark.blocks import row_blocks
from drq_spark.probe.behaviour_data import BehaviourData
from drq_spark.probe.item_lists import BLOCK_ELEMENTS, best_items, returns_to_items
from drq_spark.probe.model_contract import Effort
from drq_spark.progress import Progress


@dataclass(frozen=True)
class FittedPopularity:
    """Names the same items for everybody, but for what a user has had.

    Attributes:
        place: int64 [n], place of each item from 0, that with the most events first.
        repeats: Whether items of the history may be named.
    """

    place: I64
    repeats: bool

    def best(self, history: I32, count: int) -> I32:
        """See `FittedRecommender.best`."""
        listed = np.empty((len(history), count), np.int32)
        scores = -torch.from_numpy(self.place).float()
        for block in row_blocks(len(history), len(self.place), BLOCK_ELEMENTS):
            asked = history[block]
            listed[block] = best_items(scores.repeat(len(asked), 1), count, None if self.repeats else asked)
        return listed


class Popularity:
    """Counts."""

    def fit(self, data: BehaviourData, effort: Effort, progress: Progress) -> FittedPopularity:
        """See `Recommender.fit`; items with as many events come in their own order."""
        order = np.argsort(-data.candidates.trained_events, kind="stable")
        return FittedPopularity(np.argsort(order), returns_to_items(data.training))
