"""The continuous VAE of DRQ (arXiv 2606.01844), started at PCA; what ships are two `ResidualMLP`s.

    mu, ln v = encoder(x), z = mu + sqrt(v) * noise, x_hat = decoder(z)
    loss = (||x - x_hat||^2 + beta * KL(N(mu, v) || N(0, 1))) / D, averaged over items (Kingma and Welling 2014)

in coordinates u = (x - mean) / unit with unit the RMS of a coordinate, so that no setting depends on the scale of x.
Encoder and decoder are a linear map, at first the PCA projection and its transpose, plus a one-hidden-layer correction
whose last layer is zero at first. The ln v head exists only here.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drq_spark.arrays import F32
from drq_spark.blocks import row_blocks
from drq_spark.config import Config
from drq_spark.errors import TrainingFailed
from drq_spark.progress import Progress
from drq_spark.tokenizer.network import ResidualMLP
from drq_spark.train.contract import TrainingData
from drq_spark.train.descent import Descent, random_batches
from drq_spark.train.networks import Coordinates, SkipNetwork
from drq_spark.train.runtime import choose_device, random_stream

VAE_STREAM = 2  # purpose of the random numbers of this module, see `random_stream`
_START_LOG_VARIANCE = -4.0  # of the noise, in the unit of a coordinate: small against most latents
_MARGIN = 0.1  # share of the variance that training may lose against PCA before it counts as diverged
_ACTIVE = 0.01  # a latent with less than this share of the mean variance says nothing


@dataclass(frozen=True)
class Frozen:
    """The trained networks and what is known about them; plain JSON in `figures`."""

    encoder: ResidualMLP
    decoder: ResidualMLP
    figures: dict[str, Any]


class Vae(nn.Module):
    """Encoder, ln v head and decoder."""

    def __init__(self, axes: F32, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.encoder = SkipNetwork(axes, hidden, generator)
        self.decoder = SkipNetwork(np.ascontiguousarray(axes.T), hidden, generator)
        self.spread = nn.Linear(hidden, len(axes))
        nn.init.zeros_(self.spread.weight)
        nn.init.constant_(self.spread.bias, _START_LOG_VARIANCE)

    def loss(self, u: Tensor, noise: Tensor, beta: float) -> Tensor:
        """The loss of a batch u [n, D] with standard normal noise [n, d]."""
        features = self.encoder.features(u)
        mu, log_v = self.encoder(u, features), self.spread(features)
        error = (self.decoder(mu + (0.5 * log_v).exp() * noise) - u).square().sum(dim=1)
        divergence = 0.5 * (mu.square() + log_v.exp() - log_v - 1).sum(dim=1)
        loss: Tensor = (error + beta * divergence).mean() / u.shape[1]
        return loss


def train_vae(data: TrainingData, config: Config, progress: Progress) -> Frozen:
    """Train on the fit rows; the state that reconstructs the held-out rows best (the fit rows where none) is kept.

    Raises:
        TrainingFailed: the loss is not finite, or the end reconstructs worse than PCA by a margin.
    """
    run = VaeRun(data, config)
    run.train(progress)
    return run.frozen()


class VaeRun:
    """One training: model, rows and random numbers.

    Attributes:
        model: The networks, in training coordinates.
        device: Where it is.
        figures: What is known so far, plain JSON.
    """

    def __init__(self, data: TrainingData, config: Config) -> None:
        self.settings, self.device = config.train.drq_vae, choose_device(config)
        self.unit = Coordinates.of(data.fit)
        self.mean = torch.from_numpy(self.unit.mean)
        self.latent_dim = min(self.settings.latent_dim, data.fit.shape[1])
        self.generator = random_stream(config.seed, VAE_STREAM)
        self.model = Vae(self.unit.axes[: self.latent_dim], self.settings.hidden, self.generator).to(self.device)
        self.fit = torch.from_numpy(data.fit)
        self.judged = torch.from_numpy(data.held_out if len(data.held_out) else data.fit)
        self.batch = min(self.settings.batch_size, len(self.fit))
        self.batches = random_batches(len(self.fit), self.batch, self.generator)
        self.figures: dict[str, Any] = {"pca_relative_mse": self.judge()}

    def train(self, progress: Progress) -> None:
        """Descend, and keep the best state."""
        best = start = last = self.figures["pca_relative_mse"]
        kept, steps = deepcopy(self.model.state_dict()), len(self.fit) // self.batch
        curve = self.figures["curve"] = {"steps": [0], "relative_mse": [start]}
        descent = self.descent(steps * self.settings.epochs, self.settings.learning_rate, "train.drq_vae")
        for epoch in range(self.settings.epochs):
            for _ in range(steps):
                descent.step(self.next_loss())
            last = self.judge()
            if last < best:
                best, kept = last, deepcopy(self.model.state_dict())
            curve["steps"].append(steps * (epoch + 1))
            curve["relative_mse"].append(last)
            progress("VAE", epoch + 1, self.settings.epochs, relative_mse=last, pca=start)
        self.check(last, "train.drq_vae.beta or learning_rate")
        self.model.load_state_dict(kept)
        self.figures["continuous_relative_mse"] = best

    def descent(self, steps: int, learning_rate: float, section: str) -> Descent:
        """Adam on all weights; `section` of the settings holds what to lower where it diverges."""
        optimizer = torch.optim.Adam(self.model.parameters(), lr=learning_rate)
        return Descent(optimizer, steps, f"lower {section}.learning_rate")

    def next_loss(self) -> Tensor:
        """The VAE's loss on the next batch of fit rows."""
        rows = next(self.batches)
        noise = torch.randn(self.batch, self.latent_dim, generator=self.generator).to(self.device)
        return self.model.loss(self.coordinates(self.fit[rows]), noise, self.settings.beta)

    def check(self, left: float, remedy: str) -> None:
        """Refuse a state that leaves much more unexplained, `left`, than the start did.

        Raises:
            TrainingFailed: more than PCA by a margin; `remedy` names what to lower.
        """
        start = self.figures["pca_relative_mse"]
        if not left <= start + _MARGIN:
            raise TrainingFailed(
                f"the VAE leaves {left:.3g} of the variance unexplained, the PCA it started from {start:.3g} "
                f"({self.active_latents()} of {self.latent_dim} latents active): lower {remedy}"
            )

    def frozen(self) -> Frozen:
        """The networks as numpy runs them."""
        zero = np.zeros(self.latent_dim, np.float32)
        return Frozen(
            encoder=self.model.encoder.export(self.unit.unit, shift=self.unit.mean, bias=zero),
            decoder=self.model.decoder.export(self.unit.unit, shift=zero, bias=self.unit.mean),
            figures={**self.figures, "active_latents": self.active_latents()},
        )

    @torch.no_grad()
    def judge(self) -> float:
        """Relative error of decoder(mu) on the judged rows."""
        lost = total = 0.0
        for block in row_blocks(len(self.judged), max(self.judged.shape[1], self.settings.hidden)):
            u = self.coordinates(self.judged[block])
            lost += float((self.model.decoder(self.model.encoder(u)) - u).square().sum(dtype=torch.float64))
            total += float(u.square().sum(dtype=torch.float64))
        return lost / total if total > 0 else 0.0

    @torch.no_grad()
    def active_latents(self) -> int:
        """How many latents vary over (at most 4,096 of) the judged rows."""
        variance = self.model.encoder(self.coordinates(self.judged[:4096])).var(dim=0, correction=0)
        return int((variance > _ACTIVE * variance.mean()).sum())

    def coordinates(self, x: Tensor) -> Tensor:
        """Rows u, on the device, of prepared rows x float32 [n, D]."""
        return ((x - self.mean) / self.unit.unit).to(self.device)
