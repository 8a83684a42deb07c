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

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from drq_spark.config import Config
from drq_spark.errors import TrainingFailed
from drq_spark.tokenizer.network import ResidualMLP
from drq_spark.train.blocks import row_blocks
from drq_spark.train.contract import Progress, TrainingData
from drq_spark.train.networks import Coordinates, SkipNetwork
from drq_spark.train.runtime import choose_device, random_stream

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

VAE_STREAM = 2  # purpose of the random numbers of this module, see `random_stream`
_START_LOG_VARIANCE = -4.0  # of the noise, in the unit of a coordinate: small against most latents
_MARGIN = 0.1  # share of the variance that training may lose against PCA before it counts as diverged
_ACTIVE = 0.01  # a latent with less than this share of the mean variance says nothing


@dataclass(frozen=True)
class Frozen:
    """The trained networks and what is known about them; plain JSON in `figures`."""

    encoder: ResidualMLP
    decoder: ResidualMLP
    figures: dict[str, float | int]


class _Vae(nn.Module):
    """Encoder, ln v head and decoder."""

    def __init__(self, axes: F32, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.encoder = SkipNetwork(axes, hidden, generator)
        self.decoder = SkipNetwork(np.ascontiguousarray(axes.T), hidden, generator)
        self.spread = nn.Linear(hidden, len(axes))
        nn.init.zeros_(self.spread.weight)
        nn.init.constant_(self.spread.bias, _START_LOG_VARIANCE)

    def loss(self, u: Tensor, noise: Tensor, beta: float) -> Tensor:
        """Of a batch u [n, D] with standard normal noise [n, d]."""
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
    unit = Coordinates.of(data.fit)
    run = _Run(data, config, unit)
    start = best = run.judge()
    kept, epochs = deepcopy(run.model.state_dict()), config.train.drq_vae.epochs
    last = start
    for epoch in range(epochs):
        run.epoch()
        last = run.judge()
        if last < best:
            best, kept = last, deepcopy(run.model.state_dict())
        progress("VAE", epoch + 1, epochs, relative_mse=last, pca=start)
    if not last <= start + _MARGIN:
        raise TrainingFailed(
            f"the VAE leaves {last:.3g} of the variance unexplained, the PCA it started from {start:.3g} "
            f"({run.active_latents()} of {run.latent_dim} latents active): lower train.drq_vae.beta or learning_rate"
        )
    run.model.load_state_dict(kept)
    figures = {"pca_relative_mse": start, "continuous_relative_mse": best, "active_latents": run.active_latents()}
    zero = np.zeros(run.latent_dim, np.float32)
    return Frozen(
        encoder=run.model.encoder.export(unit.unit, shift=unit.mean, bias=zero),
        decoder=run.model.decoder.export(unit.unit, shift=zero, bias=unit.mean),
        figures=figures,
    )


class _Run:
    """Model, optimizer and random numbers of one training."""

    def __init__(self, data: TrainingData, config: Config, unit: Coordinates) -> None:
        settings = config.train.drq_vae
        self.settings, self.device = settings, choose_device(config)
        self.generator = random_stream(config.seed, VAE_STREAM)
        self.latent_dim = min(settings.latent_dim, data.fit.shape[1])
        self.model = _Vae(unit.axes[: self.latent_dim], settings.hidden, self.generator).to(self.device)
        self.fit = torch.from_numpy(data.fit)
        self.judged = torch.from_numpy(data.held_out if len(data.held_out) else data.fit)
        self.mean, self.unit = torch.from_numpy(unit.mean), unit.unit
        self.batch = min(settings.batch_size, len(self.fit))
        self.steps = len(self.fit) // self.batch
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=settings.learning_rate)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, settings.learning_rate, total_steps=max(2, self.steps * settings.epochs), pct_start=0.1
        )

    def epoch(self) -> None:
        """One pass over the fit rows in a new order; an incomplete last batch is left out."""
        order = torch.randperm(len(self.fit), generator=self.generator)
        for chosen in order[: self.steps * self.batch].view(self.steps, self.batch):
            noise = torch.randn(self.batch, self.latent_dim, generator=self.generator).to(self.device)
            loss = self.model.loss(self._coordinates(self.fit[chosen]), noise, self.settings.beta)
            if not torch.isfinite(loss):
                raise TrainingFailed("the VAE's loss is not finite: lower train.drq_vae.learning_rate or beta")
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.schedule.step()

    @torch.no_grad()
    def judge(self) -> float:
        """Relative error of decoder(mu) on the judged rows."""
        lost = total = 0.0
        for block in row_blocks(len(self.judged), max(self.judged.shape[1], self.settings.hidden)):
            u = self._coordinates(self.judged[block])
            lost += float((self.model.decoder(self.model.encoder(u)) - u).square().sum(dtype=torch.float64))
            total += float(u.square().sum(dtype=torch.float64))
        return lost / total if total > 0 else 0.0

    @torch.no_grad()
    def active_latents(self) -> int:
        """How many latents vary over (at most 4,096 of) the judged rows."""
        variance = self.model.encoder(self._coordinates(self.judged[:4096])).var(dim=0, correction=0)
        return int((variance > _ACTIVE * variance.mean()).sum())

    def _coordinates(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.unit).to(self.device)
