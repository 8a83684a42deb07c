"""Rocket launching: a light net on SIDs learns beside a booster on embeddings, and flies alone.

    loss = log loss(light) + log loss(booster) + w mean (light - stop(booster))^2

of logits. The gradient of the hint, the last term, is blocked from the booster, so that the booster follows the data
alone and the light net follows both, from the first step on. What is fitted is the light net: mean pooling on SIDs,
where the booster is DIN on embeddings. Source: Zhou et al. 2018 (AAAI, arXiv 1708.04106); their two nets share the
layers below, which nets on SIDs and on embeddings cannot.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from drq_spark.probe.behaviour_data import BehaviourData
from drq_spark.probe.din import TargetAttention
from drq_spark.probe.item_vectors import EmbeddingVectors
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.ranker import (
    FittedNetwork,
    InterestNetwork,
    MakeVectors,
    MeanInterest,
    RankerNetwork,
    Scored,
    fit_network,
)
from drq_spark.probe.ranker_training import STREAM, balanced_loss
from drq_spark.progress import Progress
from drq_spark.train.runtime import seeded

_HINT = 0.1  # w


class RocketNetwork(RankerNetwork):
    """Both nets; the logits are the light one's, and the penalty is what the booster adds to the loss."""

    def __init__(self, light: RankerNetwork, booster: RankerNetwork) -> None:
        super().__init__()
        self.light, self.booster = light, booster

    def forward(self, history: Tensor, shown: Tensor) -> Scored:
        """As `RankerNetwork`; in training the item that came is the first shown."""
        logits, penalty = self.light(history, shown)
        if not self.training:
            return Scored(logits, penalty)
        boosted, more = self.booster(history, shown)
        return Scored(logits, penalty + more + balanced_loss(boosted).mean() + _HINT * hint(logits, boosted))


def hint(light: Tensor, booster: Tensor) -> Tensor:
    """Mean squared distance of logits of one shape, with no gradient to the booster's."""
    return (light - booster.detach()).square().mean()


@dataclass(frozen=True)
class RocketRanker:
    """Trains both nets and keeps the light one.

    Attributes:
        light: Vectors of items in the light net; alone it is `mean_pooling` of them.
        booster: Vectors in the booster.
    """

    light: MakeVectors
    booster: MakeVectors

    def fit(self, data: BehaviourData, effort: Effort, progress: Progress) -> FittedNetwork:
        """As `Ranker`."""
        width = effort.width // 2
        with seeded(effort.seed, STREAM):
            light = InterestNetwork(self.light(data.candidates, width), MeanInterest(), effort.width)
            booster = InterestNetwork(self.booster(data.candidates, width), TargetAttention(width), effort.width)
            fit_network(RocketNetwork(light, booster), data, effort, progress)
        return FittedNetwork(light)


def on_sids(light: MakeVectors) -> RocketRanker:
    """The light net on these vectors, beside a booster on raw embeddings."""
    return RocketRanker(light, EmbeddingVectors)
