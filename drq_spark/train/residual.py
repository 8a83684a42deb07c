"""Residual k-means, level by level, on what the frozen kernel leaves: r^{l+1} = r^l - c^l_{s^l}.

The codes that decide the next level are those of `drq_spark.tokenizer.kernel.nearest` with the final float32 codebook,
so the codes of training are, to the bit, the codes that the shipped tokenizer gives the same rows. Residuals are not
kept: each block is derived again in float64 from its latents and its codes; only a float32 copy lives on the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from drq_spark.config import Config
from drq_spark.tokenizer.kernel import Level, nearest
from drq_spark.train.blocks import row_blocks
from drq_spark.train.contract import Progress
from drq_spark.train.kmeans import fit_codebook, require_rows
from drq_spark.train.runtime import choose_device, random_stream

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

BOOKS_STREAM = 1  # purpose of the random numbers of this module, see `random_stream`


@dataclass(frozen=True)
class LevelFigures:
    """How one level serves some rows.

    Attributes:
        relative_mse: sum ||r^{l+1}||^2 / sum ||z - mean||^2, mean of the fit rows. perplexity: exp(H) / K of the code
        usage. used: share of the K codes that at least one row has.
    """

    relative_mse: float
    perplexity: float
    used: float


@dataclass(frozen=True)
class Books:
    """Fitted codebooks, one float32 [K_l, d] per level; codes int32 [n_fit, L]; figures per level on both parts."""

    codebooks: tuple[F32, ...]
    codes: I32
    fit: tuple[LevelFigures, ...]
    held_out: tuple[LevelFigures, ...]

    def described(self) -> dict[str, list[dict[str, float]]]:
        """The figures as plain JSON values, one entry per level."""
        return {"fit": [asdict(level) for level in self.fit], "held_out": [asdict(level) for level in self.held_out]}


def fit_books(fit: F32, held_out: F32, config: Config, progress: Progress) -> Books:
    """Fit one codebook per level to the residuals of latents.

    Args:
        fit: float32 [n, d], latents to fit; n >= every K.
        held_out: float32 [m, d], latents that only judge; m may be 0.
        config: codebook sizes, seed, device, k-means settings.
        progress: told of every iteration, and of the figures of every level.

    Raises:
        InputRefused: fewer rows than codes.
    """
    sizes = config.tokenizer.codebook_sizes
    require_rows(len(fit), sizes)
    mean = fit.mean(axis=0, dtype=np.float64)
    parts = _Quantized(fit, mean, len(sizes)), _Quantized(held_out, mean, len(sizes))
    residual = torch.from_numpy(fit).to(choose_device(config), copy=True)
    figures = []
    for level, size in enumerate(sizes):
        generator = random_stream(config.seed, BOOKS_STREAM, level)
        step = partial(progress, f"level {level + 1}: k-means")
        book = fit_codebook(residual, size, config.train.kmeans, generator, step).cpu().numpy()
        figures.append((parts[0].add_level(book, residual), parts[1].add_level(book)))
        progress(f"level {level + 1}", level + 1, len(sizes), **_named(figures[-1]))
    return Books(
        codebooks=tuple(parts[0].codebooks),
        codes=parts[0].codes,
        fit=tuple(pair[0] for pair in figures),
        held_out=tuple(pair[1] for pair in figures if len(held_out)),
    )


class _Quantized:
    """Latents with the codes they have so far."""

    def __init__(self, latents: F32, mean: F64, levels: int) -> None:
        self.latents = latents
        self.codes = np.empty((len(latents), levels), np.int32)
        self.codebooks: list[F32] = []
        self.total = sum(float(np.square(latents[block] - mean).sum()) for block in self._blocks())

    def add_level(self, book: F32, residual: torch.Tensor | None = None) -> LevelFigures:
        """Assign the next level with the kernel; writes what is left, as float32, into `residual`."""
        level, index, energy = Level.prepare(book), len(self.codebooks), 0.0
        for block in self._blocks():
            found = nearest(self._residual(block), level)
            self.codes[block, index] = found.code
            energy += float(np.square(found.residual).sum())
            if residual is not None:
                residual[block] = torch.from_numpy(found.residual.astype(np.float32))
        self.codebooks.append(book)
        return _figures(energy, self.total, np.bincount(self.codes[:, index], minlength=len(book)))

    def _residual(self, block: slice) -> F64:
        """r of the next level, by the subtractions that the kernel does, in its order."""
        residual = self.latents[block].astype(np.float64)
        for index, book in enumerate(self.codebooks):
            residual -= book[self.codes[block, index]]
        return residual

    def _blocks(self) -> Iterator[slice]:
        return row_blocks(len(self.latents), self.latents.shape[1])


def _figures(energy: float, total: float, counts: NDArray[np.int64]) -> LevelFigures:
    share = counts[counts > 0] / max(counts.sum(), 1)
    return LevelFigures(
        relative_mse=energy / total if total > 0 else 0.0,
        perplexity=float(np.exp(-(share * np.log(share)).sum())) / len(counts),
        used=len(share) / len(counts),
    )


def _named(figures: tuple[LevelFigures, LevelFigures]) -> dict[str, float]:
    """The figures of a level as `Progress` takes them; the held-out rows' own with that prefix."""
    fit, held_out = figures
    return {
        "relative_mse": fit.relative_mse,
        "held_out_relative_mse": held_out.relative_mse,
        "perplexity": fit.perplexity,
        "held_out_perplexity": held_out.perplexity,
        "used": fit.used,
    }
