"""How the levels of a tokenizer serve the sample: figures of the codes that it ships, given by the certified kernel."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32, F64
from drq_spark.blocks import row_blocks
from drq_spark.formulas.reconstruction import relative_mse
from drq_spark.formulas.usage import perplexity, utilization
from drq_spark.tokenizer import Tokenizer


@dataclass(frozen=True)
class LevelFigures:
    """How one level serves some rows.

    Attributes:
        relative_mse: sum ||W r^{l+1}||^2 / sum ||W (z - mean)||^2, mean of the fit rows, W the metric of
            `Encoding.residual_square`.
        perplexity: exp(H) / K of the code usage.
        used: Share of the K codes that at least one row has.
    """

    relative_mse: float
    perplexity: float
    used: float


@dataclass(frozen=True)
class SampleFigures:
    """The figures per level on the rows that were fitted and on those kept away (empty where there are none).

    codes: int32 [n_fit, L], the SIDs of the fitted rows.
    """

    fit: tuple[LevelFigures, ...]
    held_out: tuple[LevelFigures, ...]
    codes: NDArray[np.int32]

    def described(self) -> dict[str, list[dict[str, float]]]:
        """The figures as plain JSON values, one entry per level."""
        return {"fit": [asdict(level) for level in self.fit], "held_out": [asdict(level) for level in self.held_out]}

    def shown(self, level: int) -> dict[str, float]:
        """The figures of a level, counted from 0, as `Progress` takes them; the held-out rows' own with that prefix."""
        held_out = asdict(self.held_out[level]) if self.held_out else {}
        return asdict(self.fit[level]) | {f"held_out_{name}": value for name, value in held_out.items()}


def sample_figures(tokenizer: Tokenizer, latents: F32, held_out_rows: int) -> SampleFigures:
    """Figures of latents float32 [n, d] of which the first rows are held out."""
    held_out, fit = latents[:held_out_rows], latents[held_out_rows:]
    mean = fit.mean(axis=0, dtype=np.float64)
    fitted, codes = level_figures(tokenizer, fit, mean)
    return SampleFigures(fitted, level_figures(tokenizer, held_out, mean)[0], codes)


def level_figures(tokenizer: Tokenizer, latents: F32, mean: F64) -> tuple[tuple[LevelFigures, ...], NDArray[np.int32]]:
    """One entry per level for latents float32 [n, d] about `mean` float64 [d], and the codes int32 [n, L].

    There are no entries where n is 0. A relative error is 0 where the latents do not vary.
    """
    codes = np.empty((len(latents), tokenizer.levels), np.int32)
    if not len(latents):
        return (), codes
    left, total = np.zeros(tokenizer.levels), 0.0
    for block in row_blocks(len(latents), tokenizer.latent_dim):
        encoding = tokenizer.encode_latent(latents[block])
        codes[block] = encoding.codes
        left += encoding.residual_square.sum(axis=0)
        total += float(np.square(tokenizer.weighed(latents[block] - mean)).sum())
    counts = [np.bincount(codes[:, level], minlength=size) for level, size in enumerate(tokenizer.codebook_sizes)]
    return tuple(_figures(*level, total) for level in zip(counts, left, strict=True)), codes


def encoded(tokenizer: Tokenizer, prepared: F32) -> NDArray[np.int32]:
    """SIDs int32 [n, L] of prepared rows float32 [n, D], block by block."""
    codes = np.empty((len(prepared), tokenizer.levels), np.int32)
    for block in row_blocks(len(prepared), max(tokenizer.dim, tokenizer.latent_dim)):
        codes[block] = tokenizer.encode_prepared(prepared[block])[1].codes
    return codes


def reconstruction_error(tokenizer: Tokenizer, prepared: F32, mean: F64) -> float:
    """sum ||x - x_hat||^2 / sum ||x - mean||^2 over prepared rows x; 0 where the rows do not vary."""
    return decoding_error(tokenizer, prepared, encoded(tokenizer, prepared), mean)


def decoding_error(tokenizer: Tokenizer, prepared: F32, codes: NDArray[np.int32], mean: F64) -> float:
    """`reconstruction_error` of rows whose SIDs int32 [n, L] are known, block by block."""
    lost, total = 0.0, 0.0
    for block in row_blocks(len(prepared), tokenizer.dim):
        x = prepared[block]
        lost += float(np.square(x - tokenizer.decode(codes[block])).sum())
        total += float(np.square(x - mean).sum())
    return relative_mse(lost, total) if total > 0 else 0.0


def _figures(count: NDArray[np.int64], left: Any, total: float) -> LevelFigures:
    return LevelFigures(
        relative_mse=relative_mse(float(left), total) if total > 0 else 0.0,
        perplexity=perplexity(count) / len(count),
        used=utilization(count),
    )
