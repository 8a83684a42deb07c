"""DRQ-VAE (DRQ, arXiv 2606.01844): geometry from a continuous VAE, distribution from dataset-level residual k-means.

The VAE is trained first and frozen; the books are fitted to its means mu, so no codebook ever pulls on the encoder.
"""

from __future__ import annotations

from drq_spark.config import Config
from drq_spark.progress import Progress
from drq_spark.tokenizer import Tokenizer
from drq_spark.train.contract import TrainingData
from drq_spark.train.kmeans import require_rows
from drq_spark.train.latents import Latents, latents_of
from drq_spark.train.memory import books_bytes, prepared_bytes, vae_bytes
from drq_spark.train.residual import noted, quantized
from drq_spark.train.vae import Frozen, train_vae


class DrqVaeTrainer:
    """Trainer of `drq_vae`; see `drq_spark.train.contract.Trainer`."""

    def memory_bytes(self, rows: int, dim: int, config: Config) -> int:
        """Bytes as `training_bytes` counts them."""
        return training_bytes(rows, dim, config, vae_bytes(dim, config))

    def fit(self, data: TrainingData, config: Config, progress: Progress) -> Tokenizer:
        """Train and freeze the VAE, then fit books to the latents that the frozen encoder gives in numpy."""
        require_rows(len(data.fit), config.tokenizer.codebook_sizes)
        vae = train_vae(data, config, progress)
        return quantized_vae(vae, data, config, progress)


def training_bytes(rows: int, dim: int, config: Config, networks: int) -> int:
    """Bytes of the prepared sample, of its latents, and the larger of what the networks (bytes) and the books need."""
    latent_dim = min(config.train.drq_vae.latent_dim, dim)
    books = prepared_bytes(rows, latent_dim) + books_bytes(rows, latent_dim, config)
    return prepared_bytes(rows, dim) + max(books, networks)


def quantized_vae(vae: Frozen, data: TrainingData, config: Config, progress: Progress) -> Tokenizer:
    """The tokenizer of a frozen VAE: books on its mu, and its figures in `Tokenizer.training`."""
    latents = Latents(latents_of(vae.encoder, data.prepared), vae.encoder, vae.decoder)
    return noted(quantized(data, latents, config, progress).tokenizer, {"vae": vae.figures})
