"""Dataset-level residual k-means on frozen latents, and the tokenizer that it ends in.

Level by level a codebook is fitted to what the levels before leave: r^{l+1} = r^l - c^l_{s^l}, in that level's metric
where levels weigh coordinates. With a beam the books are then refined together (`train.beam_refinement`). All of this
is float32 on the device. What counts comes after: the finished books encode the sample through the frozen kernel, and
those codes decide the decode tables and every figure, so they are, to the bit, the codes that the shipped tokenizer
gives the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drq_spark.arrays import F32, F64
from drq_spark.blocks import row_blocks
from drq_spark.config import Config
from drq_spark.errors import ConfigError
from drq_spark.progress import Progress
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.latent_unit import effective_rms
from drq_spark.train.apart import policy_codes, solved_apart
from drq_spark.train.beam_codes import Layer
from drq_spark.train.beam_refinement import priced, refine
from drq_spark.train.collapse import collapse_warnings
from drq_spark.train.contract import TrainingData
from drq_spark.train.decode_tables import decode_tables
from drq_spark.train.evaluation import sample_figures
from drq_spark.train.kmeans import fit_codebook, require_rows, standardize
from drq_spark.train.latents import Latents, latents_of
from drq_spark.train.nearest import sum_by_code
from drq_spark.train.prices import Balance
from drq_spark.train.runtime import choose_device, random_stream
from drq_spark.train.warm_start import WarmStart, warm_layers

BOOKS_STREAM = 1  # purpose of the random numbers of this module, see `random_stream`
_REMEDY = "raise tokenizer.balance, and leave out placeholder embeddings that many items share"


@dataclass(frozen=True)
class Books:
    """Fitted books: one float32 [K_l, d] per level, and prices, float32 [K_l] per level, where they are kept."""

    codebooks: tuple[F32, ...]
    prices: tuple[F32, ...] | None


@dataclass(frozen=True)
class Fitted:
    """A tokenizer, and the SIDs int32 [n_fit, L] of the rows it was fitted to, after `collisions.policy`."""

    tokenizer: Tokenizer
    codes: NDArray[np.int32]


def quantized(
    data: TrainingData, latents: Latents, config: Config, progress: Progress, start: WarmStart | None = None
) -> Fitted:
    """The tokenizer whose books are fitted to frozen latents.

    Args:
        data: The sample.
        latents: Latents of `data.prepared`.
        config: Name, codebook sizes, balance, beam, seed, device, k-means settings.
        progress: Is told of every iteration, and of the figures of every level.
        start: Books to begin at; without them the fit is free.

    Raises:
        InputRefused: fewer rows than codes.
        ConfigError: codes shall be balanced by exposure, and there is none.
    """
    fit = latents.z[data.held_out_rows :]
    use = _row_use(data, config)
    if start is None:
        books = fit_books(fit, config, progress, weights=latents.weights, use=use)
    else:
        books = warm_books(fit, start, config, progress, weights=latents.weights, use=use)
    bare = _bare(books, latents, config)
    rounds = config.apart_rounds if start is None else 0  # books that stay where they stood are apart already
    for done in range(1, rounds + 1):
        bare = replace(bare, codebooks=solved_apart(bare, fit, bare.encode_latent(fit).codes))
        progress("all levels: apart", done, rounds)
    figures = sample_figures(bare, latents.z, data.held_out_rows)
    for level in range(bare.levels):
        progress(f"level {level + 1}", level + 1, bare.levels, **figures.shown(level))
    codes = policy_codes(bare, fit, figures.codes, config.collisions)
    collapsed = collapse_warnings(figures.fit, bare.codebook_sizes, data.fit, _REMEDY)
    tokenizer = replace(
        bare,
        dim=data.prepared.shape[1],
        normalize=config.items.normalize,
        tables=decode_tables(fit, codes, bare.codebooks),
        encoder=latents.encoder,
        decoder=latents.decoder,
        training={"levels": figures.described(), "warnings": collapsed},
    )
    return Fitted(tokenizer, codes)


def _bare(books: Books, latents: Latents, config: Config) -> Tokenizer:
    """The tokenizer of the latents themselves: what encodes them without encoder, decoder and tables."""
    return Tokenizer(
        kind=config.tokenizer.name,
        dim=latents.z.shape[1],
        normalize="none",
        codebooks=books.codebooks,
        prices=books.prices,
        weights=latents.weights,
        beam=config.tokenizer.beam_width,
        latent_rms=effective_rms(latents.z, latents.weights or (None,) * len(books.codebooks)),
    )


def noted(tokenizer: Tokenizer, described: Mapping[str, Any], warnings: Sequence[str] = ()) -> Tokenizer:
    """The tokenizer with more in its `training`; warnings that it has already come after these."""
    training = tokenizer.training
    return replace(tokenizer, training={**training, "warnings": [*warnings, *training["warnings"]], **described})


def fit_books(
    fit: F32,
    config: Config,
    progress: Progress,
    *,
    weights: Sequence[F32] | None = None,
    use: F64 | None = None,
) -> Books:
    """Fit one codebook per level to latents float32 [n, d]; arguments as in `quantized`.

    Args:
        weights: As in `Latents`.
        use: float64 [n], what each row counts for in the use of codes, None for 1.

    Raises:
        InputRefused: fewer rows than codes.
    """
    sizes, settings = config.tokenizer.codebook_sizes, config.train.kmeans
    require_rows(len(fit), sizes)
    rows = _Standardized(fit, choose_device(config))
    balance = Balance(config.tokenizer.kept_balance, None if use is None else torch.from_numpy(use))
    none: Sequence[F32 | None] = [None] * len(sizes)
    layers: list[Layer] = []
    codes: list[Tensor] = []
    metrics = [None if weight is None else torch.from_numpy(weight).to(rows.device) for weight in weights or none]
    for level, (size, metric) in enumerate(zip(sizes, metrics, strict=True)):
        stream = random_stream(config.seed, BOOKS_STREAM, level)
        step = partial(progress, f"level {level + 1}: k-means")
        book = fit_codebook(_left(rows, layers, codes, metric), size, settings, stream, step, balance)
        codes.append(book.codes)
        words = book.codewords if metric is None else _whole(book.codewords, rows, layers, codes, metric)
        layers.append(Layer(words, book.price, metric))
    width = config.tokenizer.beam_width
    if width > 1:
        stream = random_stream(config.seed, BOOKS_STREAM, len(sizes))
        told = partial(progress, "all levels: beam")
        layers = refine(rows[:], layers, width, settings, balance, stream, told)
    return rows.books(layers, priced=balance.dial > 0)


def warm_books(
    fit: F32,
    start: WarmStart,
    config: Config,
    progress: Progress,
    *,
    weights: Sequence[F32] | None = None,
    use: F64 | None = None,
) -> Books:
    """Fit books again from where they stood; arguments as in `fit_books`, `start.codes` are those of its rows."""
    if start.pull.strength == inf:
        return Books(start.codebooks, start.prices)
    rows = _Standardized(fit, choose_device(config))
    balance = Balance(config.tokenizer.kept_balance, None if use is None else torch.from_numpy(use))
    layers = rows.layers(start.codebooks, start.prices, weights)
    stream = random_stream(config.seed, BOOKS_STREAM, len(layers) + 1)
    warm = warm_layers(rows[:], layers, start.codes, start.pull, config, balance, stream, progress)
    return rows.books(warm, priced=balance.dial > 0)


def repriced(tokenizer: Tokenizer, data: TrainingData, config: Config, items: int, turn: int) -> Tokenizer:
    """The tokenizer with prices for its books, which are not those that its prices were learned for.

    It takes the price step of a round of `beam_refinement` on the fit rows of a sample.

    Args:
        tokenizer: It has prices.
        data: The sample.
        config: Balance, seed and device, those that it was fitted with.
        items: How many items the books were solved for.
        turn: Another number takes other rows, where the sample has more than measure use.
    """
    z = data.fit if tokenizer.encoder is None else latents_of(tokenizer.encoder, data.fit)
    rows, use = _Standardized(z, choose_device(config)), _row_use(data, config)
    balance = Balance(config.tokenizer.kept_balance, None if use is None else torch.from_numpy(use))
    layers = rows.layers(tokenizer.codebooks, tokenizer.prices, tokenizer.weights)
    stream = random_stream(config.seed, BOOKS_STREAM, len(layers) + 2, turn)
    codes = tokenizer.encode_latent(z).codes
    settled = priced(rows[:], codes, layers, items, balance, stream, turn=turn)
    return replace(tokenizer, prices=rows.books(settled, priced=True).prices)


class _Standardized:
    """Latents float32 [n, d] about their mean and scaled, made block by block so that no copy of all of them stays."""

    def __init__(self, latents: F32, device: torch.device) -> None:
        self.latents, self.device, self.shape = latents, device, latents.shape
        self.shift, self.scale = standardize(torch.from_numpy(latents).to(device, copy=True))

    def __len__(self) -> int:
        return len(self.latents)

    def __getitem__(self, block: slice) -> Tensor:
        """A new tensor on the device."""
        return (torch.from_numpy(self.latents[block]).to(self.device) - self.shift).div_(self.scale)

    def books(self, layers: Sequence[Layer], *, priced: bool) -> Books:
        """Layers in these coordinates as books of the latents."""
        return Books(
            codebooks=tuple(
                (layer.codewords.double() * self.scale + (self.shift if level == 0 else 0.0)).float().cpu().numpy()
                for level, layer in enumerate(layers)
            ),
            prices=tuple((layer.price * self.scale**2).float().numpy() for layer in layers) if priced else None,
        )

    def layers(
        self, codebooks: Sequence[F32], prices: Sequence[F32] | None, weights: Sequence[F32] | None
    ) -> list[Layer]:
        """Books of the latents as layers in these coordinates: undoes `books`."""
        found = []
        for level, book in enumerate(codebooks):
            words = torch.from_numpy(book).to(self.device) - (self.shift if level == 0 else 0.0)
            price = torch.zeros(len(book)) if prices is None else torch.from_numpy(prices[level])
            metric = None if weights is None else torch.from_numpy(weights[level]).to(self.device)
            found.append(Layer(words / self.scale, price.double() / self.scale**2, metric))
        return found


def _left(rows: _Standardized, layers: Sequence[Layer], codes: Sequence[Tensor], metric: Tensor | None) -> Tensor:
    """What the levels so far leave of the rows, in a metric: float32 [n, coordinates that it weighs], a new tensor."""
    weighed = torch.ones(rows.shape[1], device=rows.device) if metric is None else metric
    on = torch.nonzero(weighed).flatten()
    left = torch.empty(len(rows), len(on), device=rows.device)
    for block in row_blocks(*rows.shape):
        left[block] = (_residual(rows, layers, codes, block) * weighed)[:, on]
    return left


def _residual(rows: _Standardized, layers: Sequence[Layer], codes: Sequence[Tensor], block: slice) -> Tensor:
    """r of the next level, float32 [n, d], of a block of rows."""
    residual = rows[block]
    for layer, code in zip(layers, codes, strict=False):  # the level in work has codes already, and no layer yet
        residual -= layer.codewords[code[block]]
    return residual


def _whole(
    words: Tensor, rows: _Standardized, layers: Sequence[Layer], codes: Sequence[Tensor], metric: Tensor
) -> Tensor:
    """Codewords of the level in work in all coordinates, [K, coordinates that the metric weighs] -> [K, d].

    Coordinates without weight do not choose the code but are decoded all the same: there the codeword is the mean.
    """
    on = metric > 0
    whole = torch.zeros(len(words), rows.shape[1], device=rows.device)
    whole[:, on] = words / metric[on]
    if not bool(on.all()):
        sums = torch.zeros(len(words), rows.shape[1], dtype=torch.float64, device=rows.device)
        for block in row_blocks(*rows.shape):
            sums += sum_by_code(_residual(rows, layers, codes, block), codes[-1][block], len(words))[0]
        count = torch.bincount(codes[-1], minlength=len(words)).clamp(min=1)[:, None]
        whole[:, ~on] = (sums / count).float()[:, ~on]
    return whole


def _row_use(data: TrainingData, config: Config) -> F64 | None:
    """What each fit row counts for in the use of codes."""
    if config.tokenizer.balance_by == "items":
        return None
    if data.exposure is None:
        raise ConfigError(
            "tokenizer.balance_by is exposure, but no exposure is known: set items.exposure, give --events, "
            "or balance by items"
        )
    return data.exposure[data.held_out_rows :]
