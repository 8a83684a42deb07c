"""The continuous VAE: what ships is what was trained, it starts at PCA, and it says when it failed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from drq_spark.arrays import F32
from drq_spark.config import Config, load_config
from drq_spark.errors import TrainingFailed
from drq_spark.progress import SILENT
from drq_spark.sample.values import Sample
from drq_spark.train import residual, vae
from drq_spark.train.contract import TrainingData
from drq_spark.train.driver import fit_tokenizer, split
from drq_spark.train.vae import Frozen, train_vae


def curved(rows: int, seed: int, scale: float = 1.0) -> F32:
    """A curved sheet with two latent coordinates in eight dimensions, off the origin: PCA alone cannot flatten it."""
    t = np.random.default_rng(seed).uniform(-1, 1, size=(rows, 2))
    turn = np.random.default_rng(7).normal(size=(6, 8))
    features = np.concatenate([t, t**2, np.sin(4 * t)], axis=1)
    return (scale * (features @ turn + 3)).astype(np.float32)


def config_of(**options: Any) -> Config:
    small = {"latent_dim": 3, "hidden": 32, "epochs": 30, "batch_size": 64, "learning_rate": 5e-3, "beta": 1e-3}
    base = {"tokenizer.name": "drq_vae", "tokenizer.codes": 8, "train.device": "cpu", "train.threads": 1}
    return load_config(options=base | {f"train.drq_vae.{key}": value for key, value in (small | options).items()})


def trained(scale: float = 1.0, **options: Any) -> Frozen:
    data = TrainingData(np.concatenate([curved(200, 1, scale), curved(600, 0, scale)]), 200, "abc")
    return train_vae(data, config_of(**options), SILENT.progress)


def error(frozen: Frozen, x: F32) -> float:
    decoded = frozen.decoder(frozen.encoder(x).astype(np.float32))
    return float(np.square(x - decoded).sum() / np.square(x - x.mean(axis=0)).sum())


def test_training_beats_pca_on_rows_it_never_saw() -> None:
    x = curved(400, 2)
    values = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
    frozen = trained()
    assert error(frozen, x) < 0.8 * values[3:].sum() / values.sum()
    assert frozen.figures["continuous_relative_mse"] == pytest.approx(error(frozen, curved(200, 1)), rel=0.01)


def test_start_is_pca() -> None:
    """With a learning rate of nothing the networks are PCA and its inverse."""
    frozen, x = trained(learning_rate=1e-12), curved(600, 0)
    values = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
    assert error(frozen, x) == pytest.approx(values[3:].sum() / values.sum(), rel=1e-4)
    assert not frozen.encoder.out.round(6).any()


@pytest.mark.parametrize("scale", [2.0**-10, 1.0, 2.0**10])
def test_numpy_networks_equal_the_torch_ones(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    runs: list[vae.VaeRun] = []
    real = vae.VaeRun.__init__

    def spy(self: vae.VaeRun, *arguments: Any) -> None:
        real(self, *arguments)
        runs.append(self)

    monkeypatch.setattr(vae.VaeRun, "__init__", spy)
    frozen, x = trained(scale, epochs=3), curved(300, 3, scale)
    run = runs[0]
    model = run.model.double()
    with torch.no_grad():
        u = (torch.from_numpy(x).double() - run.mean.double()) / run.unit.unit
        mu = model.encoder(u)
        decoded = model.decoder(mu) * run.unit.unit + run.mean.double()
    latents = frozen.encoder(x)
    assert np.allclose(latents, mu.numpy() * run.unit.unit, rtol=0, atol=1e-6 * np.abs(latents).max())
    assert np.allclose(frozen.decoder(latents), decoded.numpy(), rtol=0, atol=1e-6 * np.abs(x).max())
    assert np.abs(frozen.encoder.out).max() > 0


def test_best_state_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state judged best ships, not the last one."""
    scores = iter([0.5, 0.2, 0.1, 0.4])
    states: list[F32] = []

    def judge(self: vae.VaeRun) -> float:
        states.append(self.model.encoder.linear.detach().numpy().copy())
        return next(scores)

    monkeypatch.setattr(vae.VaeRun, "judge", judge)
    frozen = trained(epochs=3)
    assert np.array_equal(frozen.encoder.linear, states[2])
    assert not np.array_equal(states[3], states[2])


def test_more_latents_than_dimensions() -> None:
    assert trained(latent_dim=100, epochs=1).encoder.linear.shape == (8, 8)


def test_collapse_is_said() -> None:
    with pytest.raises(TrainingFailed, match=r"unexplained.*latents active.*lower train\.drq_vae\.beta"):
        trained(beta=1e4)


def test_divergence_is_said() -> None:
    with pytest.raises(TrainingFailed, match="learning_rate"):
        trained(learning_rate=1e6)


def test_noise_of_training_is_not_in_the_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The books are fitted to the latents of the encoder that ships, not to what training drew about them."""
    given: list[F32] = []
    real = residual.fit_books

    def spy(fit: F32, *rest: Any, **named: Any) -> Any:
        given.append(fit.copy())
        return real(fit, *rest, **named)

    monkeypatch.setattr(residual, "fit_books", spy)
    data = split(Sample(curved(500, 0), "abc"), config_of(epochs=2))
    tokenizer = fit_tokenizer(data, config_of(epochs=2))
    assert np.allclose(given[0], tokenizer.latent(data.fit), atol=1e-5)
    assert tokenizer.latent_dim == 3
