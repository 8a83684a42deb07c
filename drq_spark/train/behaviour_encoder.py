"""The behaviour encoder of `drq`: items that follow one another come near on the unit sphere.

    g(x) = u / ||u||, u = A (x - m) + V silu(U (x - m) s + h) + b

A starts as PCA with mild whitening, rows scaled by (variance / first variance)^-1/4 so that fine directions count, V as
zero: training starts at the geometry of the embeddings. It minimises InfoNCE over the pairs (see
`drq_spark.train.contrastive`) with AdamW and ends after a fixed number of steps: the held-out users only judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drq_spark.arrays import F32
from drq_spark.blocks import row_blocks
from drq_spark.config import Behaviour, Config
from drq_spark.errors import InputRefused
from drq_spark.progress import Progress
from drq_spark.tokenizer.network import ResidualMLP
from drq_spark.train.behaviour_auc import held_out_auc
from drq_spark.train.contract import TrainingData, TrainingPairs
from drq_spark.train.contrastive import PAIRS_STREAM, PairLoss
from drq_spark.train.descent import Descent
from drq_spark.train.networks import Coordinates, SkipNetwork
from drq_spark.train.runtime import choose_device, random_stream
from drq_spark.vectors import unit_rows

_WHITENING = 0.25  # exponent; 0.5 would make all directions equally long
_LEAST_VARIANCE = 1e-4  # of the first: directions with less are noise and are not stretched further
_TOLD_EVERY = 20  # steps


@dataclass(frozen=True)
class BehaviourModel:
    """The trained encoder.

    Attributes:
        network: u; divide by the norm to get g.
        figures: Plain JSON: steps, pairs, held_out_pairs, loss (mean of the last tenth of the steps), and by
            `held_out_auc`: auc of g and raw_auc of x.
    """

    network: ResidualMLP
    figures: dict[str, Any]

    def embed(self, prepared: F32) -> F32:
        """g of prepared rows float32 [n, D]: float32 [n, d], unit rows (zero where u is)."""
        vectors = np.empty((len(prepared), self.network.width_out), np.float32)
        for block in row_blocks(len(prepared), max(prepared.shape[1], len(self.network.hidden))):
            vectors[block] = unit_rows(self.network(prepared[block]))
        return vectors


def require_pairs(behaviour: TrainingPairs, name: str, instead: str) -> None:
    """Refuse behaviour that a tokenizer `name` cannot learn from; `instead` says what to do without.

    Raises:
        InputRefused: no pair.
    """
    if not len(behaviour.pairs):
        raise InputRefused(
            f"{name} learns from items that follow one another, and no such pair is left beside held-out users and "
            f"items: check events.user, events.item, events.order and events.holdout, or {instead}"
        )


def train_behaviour(data: TrainingData, config: Config, progress: Progress) -> BehaviourModel:
    """Train on the pairs of the users and items that training may see.

    Raises:
        InputRefused: no pair to learn from.
        TrainingFailed: the loss is not finite.
    """
    behaviour = data.behaviour
    assert behaviour is not None  # else `drq` is the content-only form
    require_pairs(behaviour, "drq", "leave --events out")
    run = _Run(behaviour, Coordinates.of(data.fit), config)
    losses: list[float] = []
    for _ in range(run.steps):
        losses.append(run.step())
        if len(losses) % _TOLD_EVERY == 0 or len(losses) == run.steps:
            progress("behaviour", len(losses), run.steps, loss=losses[-1])
    model = BehaviourModel(run.export(), {})
    last = losses[-max(1, len(losses) // 10) :]
    counted = {"steps": len(losses), "pairs": len(behaviour.pairs), "held_out_pairs": len(behaviour.held_out_pairs)}
    auc = held_out_auc({"auc": model.embed(behaviour.prepared), "raw_auc": behaviour.prepared}, behaviour, config.seed)
    return BehaviourModel(model.network, {**counted, "loss": sum(last) / len(last), **auc})


class _Run:
    """Network and optimizer of one training."""

    def __init__(self, behaviour: TrainingPairs, coordinates: Coordinates, config: Config) -> None:
        self.settings, self.device = config.train.behaviour, choose_device(config)
        self.coordinates, self.mean = coordinates, torch.from_numpy(coordinates.mean)
        draw = random_stream(config.seed, PAIRS_STREAM)
        self.pairs = PairLoss(behaviour.prepared, behaviour.pairs, self.settings, draw, self.device)
        self.steps = self.pairs.steps
        start = _start(coordinates, self.settings)
        generator = random_stream(config.seed, PAIRS_STREAM, 0)
        self.model = SkipNetwork(start, self.settings.hidden, generator).to(self.device)
        optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay, fused=True
        )
        self.descent = Descent(optimizer, self.steps, "lower train.behaviour.learning_rate")

    def step(self) -> float:
        """Descend on the next batch of pairs; returns its loss."""
        batch = self.pairs.next()
        return self.descent.step(batch.loss(self._encode(batch.rows)))

    def export(self) -> ResidualMLP:
        """u as numpy runs it; its scale is that of x, its direction what was trained."""
        zero = np.zeros(self.model.linear.shape[0], np.float32)
        return self.model.export(self.coordinates.unit, shift=self.coordinates.mean, bias=zero)

    def _encode(self, x: Tensor) -> Tensor:
        u: Tensor = self.model(((x - self.mean) / self.coordinates.unit).to(self.device))
        return u


def _start(coordinates: Coordinates, settings: Behaviour) -> F32:
    """Mildly whitened principal axes, float32 [d, D], scaled so that the mean ||u||^2 is 1 whatever the data."""
    variance = coordinates.variance[: settings.dim] / coordinates.unit**2
    least = _LEAST_VARIANCE * variance[0] if variance[0] > 0 else 1.0  # items that do not differ have no directions
    stretch = np.maximum(variance, least) ** -_WHITENING
    mean_square = float((variance * stretch**2).sum())
    stretch /= np.sqrt(mean_square) if mean_square > 0 else 1.0
    return np.asarray(coordinates.axes[: settings.dim] * stretch[:, None], np.float32)
