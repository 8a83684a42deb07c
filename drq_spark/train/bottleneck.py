"""Residual quantization while encoder and decoder learn: codes of a batch, and gradients past them.

    r^1 = z, s^l = argmin_k ||r^l - c^l_k||^2, r^{l+1} = r^l - c^l_{s^l}, z_q = sum_l c^l_{s^l}

The argmin has no derivative. Both estimators hand the decoder z_q and decide what its gradient means for z.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from drq_spark.config import Config
from drq_spark.progress import Progress
from drq_spark.train.kmeans import fit_codebook
from drq_spark.train.nearest import assign

_OPPOSITE = 1e-3  # a sum of two unit vectors shorter than this: no rotation is well defined


@dataclass(frozen=True)
class Quantized:
    """A batch with its codes; nothing here carries a gradient.

    Attributes:
        codes: int64 [n, L].
        residuals: r^1 .. r^L, float32 [n, d] each.
        chosen: c^1_{s^1} .. c^L_{s^L}, float32 [n, d] each.
    """

    codes: Tensor
    residuals: tuple[Tensor, ...]
    chosen: tuple[Tensor, ...]

    @property
    def total(self) -> Tensor:
        """z_q, float32 [n, d]."""
        return torch.stack(self.chosen).sum(dim=0)


@dataclass(frozen=True)
class Passed:
    """What a bottleneck makes of latents: float32 [n, d] for the decoder, its loss per row [n], and the codes."""

    latents: Tensor
    loss: Tensor
    quantized: Quantized


class Bottleneck(nn.Module, ABC):
    """Residual quantizer between encoder and decoder; kinds differ in how their books learn."""

    @abstractmethod
    def books(self) -> list[Tensor]:
        """The codebooks, float32 [K_l, d] each, without gradient."""

    @abstractmethod
    def forward(self, z: Tensor) -> Passed:
        """Quantize latents [n, d] of a batch."""

    def after_step(self, quantized: Quantized, generator: torch.Generator) -> None:
        """Learn from a batch once the optimizer has moved; `generator` is on the CPU."""
        del quantized, generator  # books that are parameters have learned already


@torch.no_grad()
def quantize(z: Tensor, books: Sequence[Tensor]) -> Quantized:
    """Greedy codes of latents float32 [n, d] by codebooks float32 [K_l, d]; lowest code on ties."""
    residual, residuals, codes, chosen = z.detach(), [], [], []
    for book in books:
        residuals.append(residual)
        codes.append(assign(residual, book))
        chosen.append(book[codes[-1]])
        residual = residual - chosen[-1]
    return Quantized(torch.stack(codes, dim=1), tuple(residuals), tuple(chosen))


def commitment(z: Tensor, quantized: Quantized) -> Tensor:
    """sum_l ||r^l - sg[c^l_{s^l}]||^2 per row [n], the earlier levels held fast in r^l.

    It equals sum_l ||z - sg[z_q^{<=l}]||^2, the commitment of Lee et al. 2022 (arXiv 2203.01941), equation 6.
    """
    pairs = zip(quantized.residuals, quantized.chosen, strict=True)
    return torch.stack([(straight_through(z, r) - c).square().sum(dim=1) for r, c in pairs]).sum(dim=0)


def straight_through(z: Tensor, target: Tensor) -> Tensor:
    """Gives `target` forwards and the identity backwards: d/dz = I (Bengio et al. 2013, van den Oord et al. 2017)."""
    return z + (target - z).detach()


def rotated(z: Tensor, target: Tensor) -> Tensor:
    """`target` forwards; backwards the rotation and scaling that take z to it (Fifty et al. 2024, arXiv 2410.06424).

        q = (|t| / |z|) R z,  R = I - 2 w w^T + 2 t' z'^T,  w = (z' + t') / |z' + t'|,  z', t' of length 1

    with R and the scale held constant. Rows where z, t or z' + t' vanish have no such rotation: straight through.

    Args:
        z: [n, d].
        target: t, [n, d], without gradient.
    """
    from_length, to_length = z.detach().norm(dim=1, keepdim=True), target.norm(dim=1, keepdim=True)
    tiny = torch.finfo(z.dtype).tiny
    source, direction = z.detach() / from_length.clamp(min=tiny), target / to_length.clamp(min=tiny)
    between = source + direction
    length = between.norm(dim=1, keepdim=True)
    middle = between / length.clamp(min=tiny)
    along = (z * middle).sum(dim=1, keepdim=True), (z * source).sum(dim=1, keepdim=True)
    turned = (z - 2 * along[0] * middle + 2 * along[1] * direction) * (to_length / from_length.clamp(min=tiny))
    defined = (from_length > 0) & (to_length > 0) & (length > _OPPOSITE)
    return torch.where(defined, turned, straight_through(z, target))


def kmeans_start(latents: Tensor, config: Config, generator: torch.Generator, progress: Progress) -> list[Tensor]:
    """Codebooks float32 [K_l, d] by residual k-means of latents float32 [n, d], level by level."""
    sizes = config.tokenizer.codebook_sizes
    residual, books = latents.clone(), []
    for level, size in enumerate(sizes):

        def step(done: int, total: int, level: int = level) -> None:
            progress(f"start of level {level + 1}: k-means", done, total)

        fitted = fit_codebook(residual.clone(), size, config.train.kmeans, generator, step)
        books.append(fitted.codewords)
        residual -= fitted.codewords[fitted.codes]
    return books
