"""What every downstream model promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from drq_spark.arrays import F32, I32
from drq_spark.probe.behaviour_data import BehaviourData
from drq_spark.progress import Progress


@dataclass(frozen=True)
class Effort:
    """How long models are trained, and with which random numbers.

    Attributes:
        seed: Of weights, batches and drawn negatives.
        epochs: Passes over the training part, at most; a model stops where the validation part gets worse.
        batch_size: Rows a step.
        learning_rate: Adam's peak learning rate.
        width: Numbers in a hidden state.
        history: Items of a user that a model looks back at.
    """

    seed: int = 0
    epochs: int = 20
    batch_size: int = 256
    learning_rate: float = 2e-3
    width: int = 64
    history: int = 50


class FittedRecommender(Protocol):
    """Names the items that come next; can be pickled, and goes to executors that way."""

    def best(self, history: I32, count: int) -> I32:
        """Rows of the likeliest items, likeliest first: int32 [q, H] -> int32 [q, count], `NO_ITEM` for none."""


class FittedRanker(Protocol):
    """Scores items that are shown; can be pickled, and goes to executors that way."""

    def scores(self, history: I32, shown: I32) -> F32:
        """How likely each shown item is taken: int32 [q, H], int32 [q, C] -> float32 [q, C], higher is likelier."""


class Recommender(Protocol):
    """Trains a model that names items. The same data, effort and threads give the same bits."""

    def fit(self, data: BehaviourData, effort: Effort, progress: Progress) -> FittedRecommender:
        """Train on `data.training`; `data.test` is not looked at.

        Raises:
            TrainingFailed: the loss is not finite.
        """


class Ranker(Protocol):
    """Trains a model that scores items. The same data, effort and threads give the same bits."""

    def fit(self, data: BehaviourData, effort: Effort, progress: Progress) -> FittedRanker:
        """Train on `data.training`; `data.test` is not looked at.

        Raises:
            TrainingFailed: the loss is not finite.
        """
