"""Cheap residual k-means on the sample for many K: one fit with the most levels holds those with fewer.

A level is fitted to what the levels before it leave, with random numbers of its own, so the first levels of a long SID
are the levels of a shorter one, to the bit. The fits differ from a run's in iterations and in the beam, which they do
without; the balance is the run's. They see the items that a run would fit, and all items of the sample are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from drq_spark.code_space import MAX_KEYS
from drq_spark.config import Config, TokenizerSettings
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.formulas.overlap import expected_overlaps
from drq_spark.plan.extrapolation import Occupancy, occupancy, overlap_of_all
from drq_spark.progress import Progress
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.keys import codes_to_keys
from drq_spark.tokenizer.latent_unit import effective_rms
from drq_spark.train.contract import TrainingData
from drq_spark.train.driver import check_memory
from drq_spark.train.registry import trainer

CODES = (64, 128, 256, 512, 1024, 2048, 4096)
LEVELS = (2, 3, 4, 5, 6)
ITEMS_PER_CODE = 8  # fewer to fit a code on, and its place says more of the sample than of the catalogue
_ITERATIONS = {"start_iterations": 2, "balance_iterations": 6, "final_iterations": 2}  # at most


@dataclass(frozen=True)
class Shape:
    """SIDs of L levels of K codes."""

    codes: int
    levels: int

    @property
    def possible(self) -> int:
        """prod K: SIDs that there can be."""
        return int(self.codes**self.levels)  # a power of ints is Any for the type checker


@dataclass(frozen=True)
class Fitted:
    """What the sample says of one shape.

    Attributes:
        seen: SIDs of the sample.
        capacity: K_eff / K of each level at the headline eta, as the whole catalogue would have it.
        relative_mse: sum ||r^{L+1}||^2 / sum ||x - m||^2 of the held-out items (of the fitted ones without any);
            refitted decode tables lower it somewhat.
    """

    shape: Shape
    seen: Occupancy
    capacity: tuple[float, ...]
    relative_mse: float


def usable(codes: Sequence[int] | None, levels: Sequence[int], fit_rows: int) -> dict[int, list[int]]:
    """The grid as K -> its L, with enough items a code and SIDs that a key can number.

    Args:
        codes: K to try, None for those of `CODES` that the sample can fit.
        levels: L to try.
        fit_rows: Items of the sample that the fit sees.

    Raises:
        ConfigError: fewer than 2 codes or 1 level, or nothing below 2^63 SIDs.
        InputRefused: too few items for the codes.
    """
    if min(levels, default=0) < 1 or min(codes or CODES) < 2:
        raise ConfigError("drq plan takes --levels from 1 and --codes from 2")
    wanted = sorted(set(codes or CODES))
    most = fit_rows // ITEMS_PER_CODE
    if (max(codes) if codes else CODES[0]) > most:
        raise InputRefused(
            f"a sample with {fit_rows:,} items to fit on can plan up to {most:,} codes a level ({ITEMS_PER_CODE} items "
            "a code): give lower --codes, raise sample.size, or bring more items"
        )
    grid = {size: [level for level in sorted(set(levels)) if size**level < MAX_KEYS] for size in wanted if size <= most}
    if not any(grid.values()):
        raise ConfigError(f"no shape with --codes {wanted} and --levels {sorted(set(levels))} has fewer than 2^63 SIDs")
    return {size: kept for size, kept in grid.items() if kept}


def quick(config: Config, codes: int, levels: int) -> Config:
    """The settings of a cheap fit: those of the run, with few iterations, no beam, and SIDs of another shape.

    Items are drawn without weights, and evened out where the run does so, by number: duplicates are counted by items.
    """
    kmeans = config.train.kmeans
    fewer = {name: min(getattr(kmeans, name), most) for name, most in _ITERATIONS.items()}
    balance = config.tokenizer.kept_balance
    return config.model_copy(
        update={
            "tokenizer": TokenizerSettings(name="rq_kmeans", levels=levels, codes=codes, balance=balance, beam=1),
            "train": config.train.model_copy(update={"kmeans": kmeans.model_copy(update=fewer)}),
            "sample": config.sample.model_copy(update={"exposure_power": 0.0}),
        }
    )


def refuse_large(config: Config, grid: dict[int, list[int]], rows: int, dim: int) -> None:
    """Refuse a sample that the largest fit would not have the memory for.

    Raises:
        ConfigError: the estimate is above `train.max_memory_gb`.
        SetupError: torch is missing.
    """
    largest = max(grid)
    check_memory(trainer("rq_kmeans"), rows, dim, quick(config, largest, max(grid[largest])))


def fit_shapes(
    data: TrainingData, config: Config, codes: int, levels: Sequence[int], items: int, progress: Progress
) -> list[Fitted]:
    """One fit of K = `codes` and the most levels, and what it says of each number of levels, in their order.

    Args:
        data: The sample, split.
        config: Settings of the run.
        codes: K.
        levels: All numbers of levels L.
        items: N of the catalogue.
        progress: See `Progress`.

    Raises:
        InputRefused: fewer items than codes.
        SetupError: torch is missing, or there is no GPU where one is asked for.
    """
    most = max(levels)
    tokenizer = fit_books_of(data, quick(config, codes, most), progress)
    errors, sids = _encoded(tokenizer, data)
    capacity = _capacity(tokenizer, sids, config.measure.headline_eta, items)
    return [
        Fitted(
            shape=Shape(codes, level),
            seen=occupancy(codes_to_keys(sids[:, :level], (codes,) * level)),
            capacity=capacity[:level],
            relative_mse=errors[level - 1],
        )
        for level in levels
    ]


def fit_books_of(data: TrainingData, config: Config, progress: Progress) -> Tokenizer:
    """The tokenizer of residual k-means with the settings of `config`, without refitted decode tables.

    Raises:
        InputRefused: fewer items than codes.
        SetupError: torch is missing, or there is no GPU where one is asked for.
    """
    trainer("rq_kmeans")  # says what is missing where torch is
    from drq_spark.train.residual import fit_books
    from drq_spark.train.runtime import training_threads

    told = partial(_told, progress, config.tokenizer.codebook_sizes)
    with training_threads(config.train.threads):
        books = fit_books(data.fit, config, told)
    unit = effective_rms(data.prepared, (None,))
    levels, dim = len(books.codebooks), data.prepared.shape[1]
    return Tokenizer("rq_kmeans", dim, "none", books.codebooks, latent_rms=unit * levels, prices=books.prices)


def _told(progress: Progress, sizes: Sequence[int], stage: str, done: int, total: int, **figures: float) -> None:
    progress(f"{sizes[0]:,} codes, {stage}", done, total, **figures)


def _encoded(tokenizer: Tokenizer, data: TrainingData) -> tuple[list[float], NDArray[np.int32]]:
    """Relative error after each level, and the SIDs int32 [n, L] of the whole sample."""
    from drq_spark.train.evaluation import level_figures

    mean = data.fit.mean(axis=0, dtype=np.float64)
    held_out, first = level_figures(tokenizer, data.held_out, mean)
    fitted, rest = level_figures(tokenizer, data.fit, mean)
    return [level.relative_mse for level in held_out or fitted], np.concatenate([first, rest])


def _capacity(tokenizer: Tokenizer, sids: NDArray[np.int32], eta: float, items: int) -> tuple[float, ...]:
    """K_eff / K of each level for N = `items`."""
    shares = []
    for level, (book, unit) in enumerate(zip(tokenizer.codebooks, tokenizer.latent_rms, strict=True)):
        counts = np.bincount(sids[:, level], minlength=len(book))
        overlap = float(expected_overlaps([counts], book, [eta * unit])[0, 0])
        shares.append(1 / (overlap_of_all(overlap, len(sids), items) * len(book)))
    return tuple(shares)
