"""How much driver memory training takes, for the check before the first job. Figures are bytes beyond the sample."""

from __future__ import annotations

from drq_spark.config import Config

_FLOAT32, _FLOAT64 = 4, 8
_PAIR = 16  # two int64
_TILES = 120 * 2**20  # blocks and tiles in work at a time; measured, does not grow with the sample
_ROW_OVERHEAD = 40  # per row and level: codes, and the sparse matrix of the refit


def prepared_bytes(rows: int, dim: int) -> int:
    """The prepared copy of the sample that `train_tokenizer` makes, split in two parts."""
    return rows * dim * _FLOAT32


def behaviour_bytes(rows: int, dim: int, config: Config) -> int:
    """Pairs of consecutive items, and the embeddings of at most `rows` items in them: raw, and prepared.

    They are in memory beside the sample; 0 where training is given none.
    """
    if not config.trains_on_events:
        return 0
    pairs = config.events.max_pairs * (1 + config.events.holdout)
    return 2 * rows * dim * _FLOAT32 + int(2 * pairs * _PAIR)


def books_bytes(rows: int, dim: int, config: Config) -> int:
    """Residual k-means on latents of this dimension, and the refit of the tables.

    The float32 residual of the fit rows lives on the device (counted here even for a GPU); later the latents are
    gathered once for their RMS, which takes no more than the residual did, the held-out rows aside.
    """
    sizes = config.tokenizer.codebook_sizes
    books = sum(sizes) * dim * (2 * _FLOAT32 + 4 * _FLOAT64)
    return rows * (dim * _FLOAT32 + len(sizes) * _ROW_OVERHEAD) + books + _TILES


def vae_bytes(dim: int, config: Config) -> int:
    """Weights of the VAE with gradients, Adam's two moments and the kept state, the activations of a batch, and PCA."""
    settings = config.train.drq_vae
    latent_dim = min(settings.latent_dim, dim)
    weights = 2 * dim * latent_dim + settings.hidden * (2 * dim + 3 * latent_dim)
    activations = settings.batch_size * (6 * dim + 6 * settings.hidden + 8 * latent_dim)
    return _FLOAT32 * (6 * weights + activations) + 3 * dim * dim * _FLOAT64 + _TILES
