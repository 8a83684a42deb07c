"""Rankers: is this the item that comes next, or one that does not? A network of four parts.

    logit = head([interest, item, interest * item, crosses])

`item` is a vector of the shown item, `interest` what the history says of it, `crosses` explicit crosses of the two if
a model has any. Mean pooling, the base that all others are held against, takes the mean of the history for the
interest, whatever is shown.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from drq_spark.arrays import F32, I32
from drq_spark.blocks import row_blocks
from drq_spark.probe.behaviour_data import BehaviourData, Candidates
from drq_spark.probe.item_vectors import ItemVectors
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.ranker_training import STREAM, balanced_loss, train_until_worse
from drq_spark.probe.ranking_examples import RankingExamples
from drq_spark.progress import Progress
from drq_spark.train.runtime import seeded

NEGATIVES = 4  # items that did not come, beside each that did
_BLOCK_ELEMENTS = 2**22

MakeVectors = Callable[[Candidates, int], ItemVectors]
"""Vectors of a width, by the candidates: a class of `drq_spark.probe.item_vectors`."""


class Scored(NamedTuple):
    """Logits float32 [b, C] of shown items, and what else is added to the loss, a scalar."""

    logits: Tensor
    penalty: Tensor


class RankerNetwork(nn.Module, ABC):
    """A network that scores shown items."""

    @abstractmethod
    def forward(self, history: Tensor, shown: Tensor) -> Scored:
        """int64 [b, H], int64 [b, C] -> logits [b, C]."""


class Interest(nn.Module, ABC):
    """What a history says of each shown item."""

    @abstractmethod
    def forward(self, seen: Tensor, known: Tensor, shown: Tensor) -> Scored:
        """Vectors [b, H, w] of the history, whether each is an item [b, H], vectors [b, C, w] shown -> [b, C, w]."""


class MeanInterest(Interest):
    """The mean of the history, whatever is shown."""

    def forward(self, seen: Tensor, known: Tensor, shown: Tensor) -> Scored:
        """As `Interest`."""
        mean = seen.sum(dim=1) / known.sum(dim=1, keepdim=True).clamp(min=1)
        return Scored(mean[:, None].expand_as(shown), torch.zeros(()))


class Crosses(nn.Module, ABC):
    """Explicit crosses of a history with each shown item; `width` numbers for each."""

    width: int

    @abstractmethod
    def forward(self, history: Tensor, shown: Tensor) -> Tensor:
        """int64 [b, H], int64 [b, C] -> float32 [b, C, width]."""


class InterestNetwork(RankerNetwork):
    """Vectors, interest, crosses if any, and a head with one hidden layer."""

    def __init__(self, vectors: ItemVectors, interest: Interest, hidden: int, crosses: Crosses | None = None) -> None:
        super().__init__()
        self.vectors, self.interest, self.crosses = vectors, interest, crosses
        inputs = 3 * vectors.width + (crosses.width if crosses is not None else 0)
        self.body = nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU())
        self.out = nn.Linear(hidden, 1)

    def forward(self, history: Tensor, shown: Tensor) -> Scored:
        """As `RankerNetwork`."""
        hidden, penalty = self.hidden(history, shown)
        return Scored(self.out(hidden).squeeze(-1), penalty)

    def hidden(self, history: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
        """The last hidden layer [b, C, hidden], and what else is added to the loss."""
        items: Tensor = self.vectors(shown)
        crosses = [] if self.crosses is None else [self.crosses(history, shown)]
        hidden, penalty = self._body(self.vectors(history), history, items, crosses)
        return hidden, penalty + self.vectors.pull(shown)

    def at(self, seen: Tensor, history: Tensor, items: Tensor) -> Tensor:
        """Logits [b, C] of any vectors [b, C, w] in place of shown items; `seen` [b, H, w] are those of the history."""
        logits: Tensor = self.out(self._body(seen, history, items, [])[0]).squeeze(-1)
        return logits

    def _body(self, seen: Tensor, history: Tensor, items: Tensor, crosses: list[Tensor]) -> tuple[Tensor, Tensor]:
        interest, penalty = self.interest(seen, history >= 0, items)
        hidden: Tensor = self.body(torch.cat([interest, items, interest * items, *crosses], dim=-1))
        return hidden, penalty


@dataclass(frozen=True)
class FittedNetwork:
    """Scores, which are logits, by a network."""

    network: RankerNetwork

    def scores(self, history: I32, shown: I32) -> F32:
        """As `FittedRanker`."""
        self.network.eval()
        logits = np.empty(shown.shape, np.float32)
        with torch.inference_mode():
            for block in row_blocks(len(shown), 32 * history.shape[1] * shown.shape[1] + 1, _BLOCK_ELEMENTS):
                logits[block] = self.network(_rows(_trimmed(history[block])), _rows(shown[block])).logits.numpy()
        return logits


@dataclass(frozen=True)
class NetworkRanker:
    """Trains the network that `build` makes of candidates and an effort."""

    build: Callable[[Candidates, Effort], RankerNetwork]

    def fit(self, data: BehaviourData, effort: Effort, progress: Progress) -> FittedNetwork:
        """As `Ranker`."""
        with seeded(effort.seed, STREAM):
            network = self.build(data.candidates, effort)
            fit_network(network, data, effort, progress)
        return FittedNetwork(network)


def fit_network(network: RankerNetwork, data: BehaviourData, effort: Effort, progress: Progress) -> None:
    """Train a network in place on the training part.

    Raises:
        TrainingFailed: the loss is not finite.
    """
    examples = RankingExamples(data.training, effort.history, NEGATIVES, effort.seed)
    train_until_worse(
        network,
        lambda: examples.batches(effort.batch_size),
        lambda batch: _loss(network(batch.history, batch.shown)),
        FittedNetwork(network),
        data.validation,
        -(-len(examples) // effort.batch_size),
        effort,
        progress,
    )


def mean_pooling(vectors: MakeVectors) -> NetworkRanker:
    """The base: the history is its mean."""
    return NetworkRanker(
        lambda candidates, effort: InterestNetwork(vectors(candidates, effort.width // 2), MeanInterest(), effort.width)
    )


def _loss(scored: Scored) -> Tensor:
    return balanced_loss(scored.logits).mean() + scored.penalty


def _trimmed(history: I32) -> I32:
    """Without the columns in front that no history has."""
    used = np.flatnonzero((history >= 0).any(axis=0))
    return history[:, used[0] if len(used) else history.shape[1] :]


def _rows(rows: I32) -> Tensor:
    return torch.from_numpy(rows.astype(np.int64))
