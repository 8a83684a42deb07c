"""The baseline that learns next to nothing: items whose embeddings are like those of the last items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from drq_spark.arrays import F32, I32
from drq_spark.blocks import row_blocks
from drq_spark.formulas.hit_ranks import ndcg_at, target_ranks
from drq_spark.probe.behaviour_data import NO_ITEM, BehaviourData
from drq_spark.probe.item_lists import BLOCK_ELEMENTS, best_items, returns_to_items
from drq_spark.probe.judged_questions import some_questions
from drq_spark.probe.model_contract import Effort
from drq_spark.progress import Progress
from drq_spark.vectors import unit_rows

_DECAYS = (0.0, 0.5, 0.8, 0.95, 1.0)
_CUT = 50


@dataclass(frozen=True)
class FittedItemKnn:
    """Names the nearest items by cosine to q = sum_a decay^a x_a / |x_a|, a the number of items since.

    Attributes:
        directions: float32 [n, D], embeddings of length 1.
        decay: From 0 for the last item alone to 1 for the mean of the history.
        history: Items of a user that are looked at.
        repeats: Whether items of the history may be named.
    """

    directions: F32
    decay: float
    history: int
    repeats: bool

    def best(self, history: I32, count: int) -> I32:
        """See `FittedRecommender.best`."""
        listed = np.empty((len(history), count), np.int32)
        directions = torch.from_numpy(self.directions)
        for block in row_blocks(len(history), len(directions), BLOCK_ELEMENTS):
            asked = history[block]
            scores = torch.from_numpy(self._queries(asked[:, -self.history :])) @ directions.T
            listed[block] = best_items(scores, count, None if self.repeats else asked)
        return listed

    def _queries(self, history: I32) -> F32:
        query = np.zeros((len(history), self.directions.shape[1]), np.float32)
        for since in range(history.shape[1]):
            item = history[:, -1 - since]
            query += np.float32(self.decay**since) * np.where((item != NO_ITEM)[:, None], self.directions[item], 0)
        return query


class ItemKnn:
    """Chooses the decay that does best on the validation part, by NDCG@50; nothing else is learned."""

    def fit(self, data: BehaviourData, effort: Effort, progress: Progress) -> FittedItemKnn:
        """See `Recommender.fit`; without questions to choose by it is the last item alone."""
        directions = unit_rows(data.candidates.x).astype(np.float32)
        repeats = returns_to_items(data.training)
        asked = some_questions(data.validation, effort.seed)
        tried: list[tuple[float, FittedItemKnn]] = []
        for decay in _DECAYS:
            model = FittedItemKnn(directions, decay, effort.history, repeats)
            gain = float(ndcg_at(target_ranks(model.best(asked.history, _CUT), asked.target), _CUT).sum())
            tried.append((gain, model))
            progress("item-kNN", len(tried), len(_DECAYS), gain=gain / max(1, len(asked)))
        return max(tried, key=lambda pair: pair[0])[1]
