"""How much driver memory training takes, for the check before the first job. Figures are bytes beyond the sample."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from drq_spark.config import Config, EndToEnd

START_ROWS_PER_CODE = 64  # rows that the books of an end-to-end tokenizer start from
MOST_AT_ONCE = 4096  # codewords of all levels whose joint solution is at once: of more, sweeps cost less than the cube
_FLOAT32, _FLOAT64 = 4, 8
_PAIR = 16  # two int64
_TILES = 200 * 2**20  # blocks and tiles in work at a time, of two threads; measured, does not grow with the sample
_ROW_AND_LEVEL = 24  # codes, and the one-hot matrix of the refit
_ROW_AND_PAIR = 12  # of levels: their sparse counts, at most


def prepared_bytes(rows: int, dim: int) -> int:
    """The prepared copy of the sample that `train_tokenizer` makes."""
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

    A float32 copy of the fit rows lives on the device (counted here even for a GPU): the residual of the level in work,
    later the standardized latents that the beam refines the books on. Of the books there are five copies at once while
    they are refined (those they began with, without noise, with noise, solved, the noise), and four in the solution,
    with three matrices of all codewords by all where it is at once. An iteration of k-means or a round of the beam has
    a copy of half of the rows at most, made beside that of the one before, and a round has the products of the
    codewords of each two levels.
    """
    sizes = config.tokenizer.codebook_sizes
    books = sum(sizes) * dim * (5 * _FLOAT32 + 4 * _FLOAT64)
    crossed = sum(before * size for before, size in combinations(sizes, 2)) if config.tokenizer.beam_width > 1 else 0
    parts = (3 * rows // 4 * dim + crossed) * _FLOAT32
    solved = 3 * sum(sizes) ** 2 * _FLOAT64 if sum(sizes) <= MOST_AT_ONCE else 0
    return rows * dim * _FLOAT32 + _codes_bytes(rows, len(sizes)) + books + parts + solved + _TILES


def _codes_bytes(rows: int, levels: int) -> int:
    """Codes of the rows, and what the joint solution of the tables counts of them."""
    return rows * (levels * _ROW_AND_LEVEL + levels * (levels - 1) * _ROW_AND_PAIR)


def vae_bytes(dim: int, config: Config) -> int:
    """Weights of the VAE with gradients, Adam's two moments and the kept state, the activations of a batch, and PCA."""
    settings = config.train.drq_vae
    latent_dim = min(settings.latent_dim, dim)
    weights = 2 * dim * latent_dim + settings.hidden * (2 * dim + 3 * latent_dim)
    activations = settings.batch_size * (6 * dim + 6 * settings.hidden + 8 * latent_dim)
    return _FLOAT32 * (6 * weights + activations) + 3 * dim * dim * _FLOAT64 + _TILES


def end_to_end_bytes(rows: int, dim: int, codebook_sizes: Sequence[int], settings: EndToEnd) -> int:
    """The prepared sample and its latents, networks and books with gradients, moments and kept state, and a batch."""
    latent_dim = min(settings.latent_dim, dim)
    weights = 2 * dim * latent_dim + 2 * settings.hidden * (dim + latent_dim) + sum(codebook_sizes) * latent_dim
    batch = 6 * dim + 6 * settings.hidden + 4 * len(codebook_sizes) * latent_dim + 2 * sum(codebook_sizes)
    start = 3 * min(rows, START_ROWS_PER_CODE * max(codebook_sizes)) * latent_dim  # latents, residual, what is fitted
    work = _FLOAT32 * (6 * weights + settings.batch_size * batch + start) + 3 * dim * dim * _FLOAT64 + _TILES
    return prepared_bytes(rows, dim + latent_dim) + _codes_bytes(rows, len(codebook_sizes)) + work


def pair_batch_bytes(dim: int, config: Config) -> int:
    """A batch of pairs in the contrastive stage of `drq_vae_cl`: activations of both ends, and similarities."""
    settings, hidden = config.train.drq_vae_cl, config.train.drq_vae.hidden
    latent_dim = min(config.train.drq_vae.latent_dim, dim)
    activations = 2 * settings.batch_size * (3 * dim + 3 * hidden + 4 * latent_dim)
    return _FLOAT32 * (activations + 8 * settings.batch_size**2)
