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
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from drq_spark.config import Behaviour, Config
from drq_spark.errors import ConfigError, InputRefused, TrainingFailed
from drq_spark.tokenizer.network import ResidualMLP
from drq_spark.train.behaviour_figures import behaviour_auc
from drq_spark.train.blocks import row_blocks
from drq_spark.train.contract import Progress, TrainingData, TrainingPairs
from drq_spark.train.contrastive import PAIRS_STREAM, PairBatch, Pairs, info_nce
from drq_spark.train.networks import Coordinates, SkipNetwork
from drq_spark.train.runtime import choose_device, random_stream

F32 = NDArray[np.float32]

_WHITENING = 0.25  # exponent; 0.5 would make all directions equally long
_LEAST_VARIANCE = 1e-4  # of the first: directions with less are noise and are not stretched further
_TOLD_EVERY = 20  # steps
_SHORTEST = 1e-6  # norm of u below which the direction is not meant


@dataclass(frozen=True)
class BehaviourModel:
    """The trained encoder.

    Attributes:
        network: u; divide by the norm to get g.
        figures: plain JSON: steps, pairs, held_out_pairs, loss (mean of the last tenth of the steps), and by
            `behaviour_auc` of the held-out pairs: auc of g and raw_auc of x, and the same of pairs with an item that
            training did not see (auc_unseen_items, raw_auc_unseen_items); those of no pairs are left out.
    """

    network: ResidualMLP
    figures: dict[str, Any]

    def embed(self, prepared: F32) -> F32:
        """g of prepared rows float32 [n, D]: float32 [n, d], unit rows (zero where u is)."""
        vectors = np.empty((len(prepared), self.network.width_out), np.float32)
        for block in row_blocks(len(prepared), max(prepared.shape[1], len(self.network.hidden))):
            u = self.network(prepared[block])
            length = np.linalg.norm(u, axis=1, keepdims=True)
            vectors[block] = u / np.where(length > 0, length, 1.0)
        return vectors


def require_behaviour(data: TrainingData, name: str, instead: str) -> TrainingPairs:
    """The pairs that a tokenizer `name` learns from.

    Raises:
        ConfigError: the run has no events; `instead` does without.
        InputRefused: no pair to learn from.
    """
    if data.behaviour is None:
        raise ConfigError(f"{name} learns from behaviour: give --events, or use {instead}")
    if not len(data.behaviour.pairs):
        raise InputRefused(
            f"{name} learns from items that follow one another, and no two known items do: check events.user, "
            f"events.item and events.order, or use {instead}"
        )
    return data.behaviour


def train_behaviour(data: TrainingData, config: Config, progress: Progress) -> BehaviourModel:
    """Train on the pairs of the users and items that training may see.

    Raises:
        ConfigError, InputRefused: see `require_behaviour`.
        TrainingFailed: the loss is not finite.
    """
    behaviour = require_behaviour(data, "drq", "rq_kmeans")
    run = _Run(behaviour, Coordinates.of(data.fit), config)
    losses: list[float] = []
    for batch in run.pairs.batches(random_stream(config.seed, PAIRS_STREAM)):
        losses.append(run.step(batch))
        if len(losses) % _TOLD_EVERY == 0 or len(losses) == run.steps:
            progress("behaviour", len(losses), run.steps, loss=losses[-1])
        if len(losses) == run.steps:
            break
    model = BehaviourModel(run.export(), {})
    last = losses[-max(1, len(losses) // 10) :]
    counted = {"steps": len(losses), "pairs": len(behaviour.pairs), "held_out_pairs": len(behaviour.held_out_pairs)}
    judged = _judged(model.embed(behaviour.prepared), behaviour, config.seed)
    return BehaviourModel(model.network, {**counted, "loss": sum(last) / len(last), **judged})


def _judged(vectors: F32, behaviour: TrainingPairs, seed: int) -> dict[str, dict[str, float]]:
    """AUC of g and of x on the held-out pairs, all and those with an item that training did not see."""
    pairs = behaviour.held_out_pairs
    parts = {"": pairs, "_unseen_items": pairs[behaviour.held_out_items[pairs].any(axis=1)]}
    kinds = {"auc": vectors, "raw_auc": behaviour.prepared}
    figures = {
        kind + part: behaviour_auc(of, chosen, seed) for part, chosen in parts.items() for kind, of in kinds.items()
    }
    return {name: auc for name, auc in figures.items() if auc}


class _Run:
    """Network and optimizer of one training."""

    def __init__(self, behaviour: TrainingPairs, coordinates: Coordinates, config: Config) -> None:
        self.settings, self.device = config.train.behaviour, choose_device(config)
        self.prepared = torch.from_numpy(behaviour.prepared)
        self.coordinates, self.mean = coordinates, torch.from_numpy(coordinates.mean)
        self.pairs = Pairs(behaviour.pairs, len(behaviour.prepared), self.settings.batch_size)
        self.steps = self.pairs.steps(self.settings.steps)
        self.log_share = (self.settings.popularity_correction * self.pairs.log_share).to(self.device)
        start = _start(coordinates, self.settings)
        generator = random_stream(config.seed, PAIRS_STREAM, 0)
        self.model = SkipNetwork(start, self.settings.hidden, generator).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, self.settings.learning_rate, total_steps=max(2, self.steps), pct_start=0.1
        )

    def step(self, batch: PairBatch) -> float:
        """One step of the optimizer; the loss before it."""
        left, right = self._vectors(batch.left), self._vectors(batch.right)
        there = PairBatch(batch.left.to(self.device), batch.right.to(self.device))
        loss = info_nce(left, right, there, self.log_share, self.settings.temperature)
        value = loss.item()
        if not np.isfinite(value):
            raise TrainingFailed("the behaviour loss is not finite: lower train.behaviour.learning_rate")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        return value

    def export(self) -> ResidualMLP:
        """u as numpy runs it; its scale is that of x, its direction what was trained."""
        zero = np.zeros(self.model.linear.shape[0], np.float32)
        return self.model.export(self.coordinates.unit, shift=self.coordinates.mean, bias=zero)

    def _vectors(self, rows: Tensor) -> Tensor:
        u = ((self.prepared[rows] - self.mean) / self.coordinates.unit).to(self.device)
        return functional.normalize(self.model(u), dim=1, eps=_SHORTEST)


def _start(coordinates: Coordinates, settings: Behaviour) -> F32:
    """Mildly whitened principal axes, float32 [d, D], scaled so that the mean ||u||^2 is 1 whatever the data."""
    variance = coordinates.variance[: settings.dim] / coordinates.unit**2
    stretch = np.maximum(variance, _LEAST_VARIANCE * variance[0] or 1.0) ** -_WHITENING
    mean_square = float((variance * stretch**2).sum())
    stretch /= np.sqrt(mean_square) if mean_square > 0 else 1.0
    return np.asarray(coordinates.axes[: settings.dim] * stretch[:, None], np.float32)
