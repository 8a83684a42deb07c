"""A transformer over ids of items: what SIDs are to be measured against where events are plenty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from drq_spark.arrays import F32, I32, I64
from drq_spark.blocks import row_blocks
from drq_spark.probe.behaviour_data import NO_ITEM, BehaviourData
from drq_spark.probe.history_encoder import HistoryEncoder, last_of
from drq_spark.probe.item_lists import BLOCK_ELEMENTS, best_items, returns_to_items
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.next_item_training import STREAM, NextItemNetwork, train_next_item
from drq_spark.progress import Progress
from drq_spark.train.runtime import seeded

_NEGATIVES = 1024
_START = 0.05  # standard deviation of the vectors of items
_FLATTER = 0.5  # exponent of events: items that few took are drawn as negatives too


class ItemNetwork(NextItemNetwork):
    """One vector for each item, the same on both sides of a causal transformer.

    Where there are more than 1,024 items, a step's softmax is over the item that came and 1,024 that are drawn for the
    whole batch, each with weight 1 / (m p) for m draws of chance p, so that the sum is right in the mean (Bengio and
    Senécal 2003). Kang and McAuley 2018 take one negative each and a binary loss, which is known to
    name the popular too readily (Klenitskiy and Vasilev 2023).
    """

    chance: Tensor

    def __init__(self, trained_events: I64, effort: Effort) -> None:
        super().__init__()
        self.history = effort.history
        self.items = nn.Embedding(len(trained_events), effort.width)
        nn.init.normal_(self.items.weight, std=_START)
        self.encoder = HistoryEncoder(effort.width, effort.history)
        chance = torch.from_numpy((trained_events + 1.0) ** _FLATTER)
        self.register_buffer("chance", (chance / chance.sum()).float())

    def step_loss(self, items: Tensor, following: Tensor, draw: torch.Generator) -> Tensor:
        """See `NextItemNetwork.step_loss`."""
        steps = following != NO_ITEM
        states, target = self._states(items)[steps], following[steps]
        if len(self.chance) <= _NEGATIVES:
            return functional.cross_entropy(states @ self.items.weight.T, target)
        drawn = torch.multinomial(self.chance, _NEGATIVES, replacement=True, generator=draw)
        others = states @ self.items(drawn).T - torch.log(_NEGATIVES * self.chance[drawn])
        others = others.masked_fill(drawn == target[:, None], -torch.inf)
        own = (states * self.items(target)).sum(dim=1)
        return torch.mean(torch.logsumexp(torch.cat([own[:, None], others], dim=1), dim=1) - own)

    def surprise(self, items: Tensor, target: Tensor) -> Tensor:
        """See `NextItemNetwork.surprise`."""
        return functional.cross_entropy(self.scores(items), target, reduction="none")

    def scores(self, items: Tensor) -> Tensor:
        """ln p of every item, but for a number of each row: int64 [q, t] -> [q, n]."""
        return last_of(self._states(items), items) @ self.items.weight.T

    def _states(self, items: Tensor) -> Tensor:
        return torch.as_tensor(self.encoder(self.items(items.clamp(min=0))))


@dataclass(frozen=True)
class FittedSasRec:
    """Names the items whose vectors go best with the state of the user.

    Attributes:
        network: What was trained.
        repeats: Whether items of the history may be named.
    """

    network: ItemNetwork
    repeats: bool

    @torch.no_grad()
    def best(self, history: I32, count: int) -> I32:
        """See `FittedRecommender.best`."""
        listed = np.empty((len(history), count), np.int32)
        for block in row_blocks(len(history), self.network.items.num_embeddings, BLOCK_ELEMENTS):
            asked = history[block]
            scores = self.network.scores(self.network.asked(asked))
            listed[block] = best_items(scores, count, None if self.repeats else asked)
        return listed

    def surprises(self, history: I32, target: I32) -> F32:
        """See `NextItemNetwork.surprises`."""
        return self.network.surprises(history, target)


class SasRec:
    """Trains on ids of items, and never sees what they are."""

    def fit(self, data: BehaviourData, effort: Effort, progress: Progress) -> FittedSasRec:
        """See `Recommender.fit`."""
        with seeded(effort.seed, STREAM):
            network = ItemNetwork(data.candidates.trained_events, effort)
            train_next_item(network, data, effort, progress, "SASRec")
        return FittedSasRec(network, returns_to_items(data.training))
