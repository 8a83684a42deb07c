"""DRQ-VAE with a contrastive stage on behaviour (DRQ, arXiv 2606.01844): the latents themselves carry what users do.

First the VAE of `drq_vae` is trained. Then encoder and decoder go on together with

    loss = VAE loss + weight * InfoNCE of the directions of mu over the pairs

so items that follow one another move together as far as the decoder can still tell them apart. There is no projection
head: what the pairs teach must be in mu, because mu is what the books quantize. Then all is frozen, and the books are
those of `drq_vae`. The stage ends after a fixed number of steps: the held-out users only judge.
"""

from __future__ import annotations

from typing import Any

from drq_spark.config import Config
from drq_spark.errors import ConfigError
from drq_spark.progress import Progress
from drq_spark.tokenizer import Tokenizer
from drq_spark.train.behaviour_auc import held_out_auc
from drq_spark.train.behaviour_encoder import require_pairs
from drq_spark.train.contract import TrainingData, TrainingPairs
from drq_spark.train.contrastive import PAIRS_STREAM, PairLoss
from drq_spark.train.drq_vae import quantized_vae, training_bytes
from drq_spark.train.kmeans import require_rows
from drq_spark.train.latents import latents_of
from drq_spark.train.memory import pair_batch_bytes, vae_bytes
from drq_spark.train.residual import noted
from drq_spark.train.runtime import random_stream
from drq_spark.train.vae import Frozen, VaeRun

_TOLD_EVERY = 20  # steps


class DrqVaeClTrainer:
    """Trainer of `drq_vae_cl`; see `drq_spark.train.contract.Trainer`."""

    def memory_bytes(self, rows: int, dim: int, config: Config) -> int:
        """Bytes as for `drq_vae`, with a batch of pairs beside that of the VAE."""
        return training_bytes(rows, dim, config, vae_bytes(dim, config) + pair_batch_bytes(dim, config))

    def fit(self, data: TrainingData, config: Config, progress: Progress) -> Tokenizer:
        """Train the VAE, bring what users do into it, freeze it, fit books to the latents.

        Raises:
            ConfigError: no events. InputRefused: fewer rows than codes, or no pairs.
        """
        if data.behaviour is None:
            raise ConfigError("drq_vae_cl learns from behaviour: give --events, or use drq_vae")
        require_pairs(data.behaviour, "drq_vae_cl", "use drq_vae")
        require_rows(len(data.fit), config.tokenizer.codebook_sizes)
        vae, contrast = _trained(data, data.behaviour, config, progress)
        return noted(quantized_vae(vae, data, config, progress), {"contrast": contrast})


def _trained(
    data: TrainingData, behaviour: TrainingPairs, config: Config, progress: Progress
) -> tuple[Frozen, dict[str, Any]]:
    """The frozen VAE and the figures of the stage; what training needed is free again when the books are fitted."""
    run = VaeRun(data, config)
    run.train(progress)
    contrast = bring_together(run, behaviour, config, progress)
    vae = run.frozen()
    latents = {"auc": latents_of(vae.encoder, behaviour.prepared), "raw_auc": behaviour.prepared}
    return vae, contrast | held_out_auc(latents, behaviour, config.seed)


def bring_together(run: VaeRun, behaviour: TrainingPairs, config: Config, progress: Progress) -> dict[str, Any]:
    """Run the contrastive stage on a trained VAE; returns its figures as plain JSON.

    Raises:
        TrainingFailed: the loss is not finite, or the decoder lost the items.
    """
    settings = config.train.drq_vae_cl
    draw = random_stream(config.seed, PAIRS_STREAM)
    pairs = PairLoss(behaviour.prepared, behaviour.pairs, settings, draw, run.device)
    descent = run.descent(pairs.steps, settings.learning_rate, "train.drq_vae_cl")

    curve: dict[str, list[float]] = {"steps": [], "loss": []}
    for step in range(1, pairs.steps + 1):
        batch = pairs.next()
        contrast = batch.loss(run.model.encoder(run.coordinates(batch.rows)))
        descent.step(run.next_loss() + settings.weight * contrast)
        if step % _TOLD_EVERY == 0 or step == pairs.steps:
            curve["steps"].append(step)
            curve["loss"].append(contrast.item())
            progress("contrast", step, pairs.steps, loss=contrast.item())
    left = run.judge()
    run.check(left, "train.drq_vae_cl.weight or learning_rate")
    return {
        "steps": pairs.steps,
        "pairs": len(behaviour.pairs),
        "held_out_pairs": len(behaviour.held_out_pairs),
        "loss": contrast.item(),
        "curve": curve,
        "continuous_relative_mse": left,
    }
