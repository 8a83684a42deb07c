"""KEEP: knowledge drawn from everybody's events, frozen, and plugged into a ranker that is trained on a part of them.

First a ranker (target attention) is trained on the whole training part, the super-domain. Its weights are frozen; what
it knows of a user and an item is its last hidden layer k. Then a small ranker, with vectors of its own, is trained on
the part, whose hidden layer is

    hidden = silu(W [interest, item, interest * item] + V k + b)

so k may go on being trained apart, and the small ranker sees only a new input. V starts at zero: training starts at
the ranker without knowledge. Source: Zhang et al. 2022 (CIKM, arXiv 2208.10174), with one kind of event in place of
theirs of several.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from drq_spark.probe.behaviour_data import BehaviourData, Sequences
from drq_spark.probe.din import TargetAttention
from drq_spark.probe.item_vectors import ItemVectors
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.ranker import (
    FittedNetwork,
    InterestNetwork,
    MakeVectors,
    MeanInterest,
    RankerNetwork,
    Scored,
    fit_network,
    mean_pooling,
)
from drq_spark.probe.ranker_training import STREAM
from drq_spark.progress import Progress
from drq_spark.train.runtime import seeded


class PluggedNetwork(RankerNetwork):
    """A small ranker with a plug for knowledge.

    Args:
        vectors: Of the small ranker.
        knowledge: The network of the super-domain; is frozen here.
        hidden: Numbers in the hidden layers of both.
    """

    def __init__(self, vectors: ItemVectors, knowledge: InterestNetwork, hidden: int) -> None:
        super().__init__()
        self.vectors, self.interest = vectors, MeanInterest()
        self.knowledge = knowledge.requires_grad_(False)
        self.own = nn.Linear(3 * vectors.width, hidden)
        self.plug = nn.Linear(hidden, hidden, bias=False)
        self.out = nn.Linear(hidden, 1)
        nn.init.zeros_(self.plug.weight)

    def forward(self, history: Tensor, shown: Tensor) -> Scored:
        """As `RankerNetwork`."""
        items = self.vectors(shown)
        interest, _ = self.interest(self.vectors(history), history >= 0, items)
        known, _ = self.knowledge.hidden(history, shown)
        hidden = functional.silu(self.own(torch.cat([interest, items, interest * items], dim=-1)) + self.plug(known))
        return Scored(self.out(hidden).squeeze(-1), self.vectors.pull(shown))


@dataclass(frozen=True)
class KeepRanker:
    """Trains knowledge on all users, and the small ranker on a share of them.

    Attributes:
        vectors: Of items, in both.
        share: Of the users, in the part.
    """

    vectors: MakeVectors
    share: float = 0.1

    def fit(self, data: BehaviourData, effort: Effort, progress: Progress) -> FittedNetwork:
        """As `Ranker`."""
        width = effort.width // 2
        with seeded(effort.seed, STREAM):
            vectors = self.vectors(data.candidates, width)
            knowledge = InterestNetwork(vectors, TargetAttention(width), effort.width)
            fit_network(knowledge, data, effort, progress)
            network = PluggedNetwork(self.vectors(data.candidates, width), knowledge, effort.width)
            fit_network(network, part_of(data, self.share, effort.seed), effort, progress)
        return FittedNetwork(network)


@dataclass(frozen=True)
class PartRanker:
    """What `KeepRanker` is held against: the small ranker alone, on the same part."""

    vectors: MakeVectors
    share: float = 0.1

    def fit(self, data: BehaviourData, effort: Effort, progress: Progress) -> FittedNetwork:
        """As `Ranker`."""
        return mean_pooling(self.vectors).fit(part_of(data, self.share, effort.seed), effort, progress)


def part_of(data: BehaviourData, share: float, seed: int) -> BehaviourData:
    """The data with a share of the users in its training part, drawn by the seed; all else is the same."""
    users = len(data.training)
    drawn = np.sort(np.random.default_rng((seed, 0x50415254)).permutation(users)[: max(1, round(share * users))])
    starts, lengths = data.training.starts[drawn], np.diff(data.training.starts)[drawn]
    ends = np.cumsum(lengths)
    places = np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)
    training = Sequences(np.concatenate([[0], ends]).astype(np.int64), data.training.items[places])
    return replace(data, training=training)
