"""RQ-VAE (Lee et al. 2022, arXiv 2203.01941; for semantic IDs TIGER, Rajput et al. 2023, arXiv 2305.05065).

    loss of the bottleneck = sum_l ||sg[r^l] - c^l_{s^l}||^2 + commitment * sum_l ||r^l - sg[c^l_{s^l}]||^2

The first term moves the codewords, the second the encoder; sg holds its argument fast. Gradients of the reconstruction
pass the codes straight through, d z_q / dz = I, or by the rotation trick, level by level: d z_q / dz = sum_l (|c^l| /
|r^l|) R^l with the earlier levels held fast in r^l. One rotation from z to z_q diverged on every catalogue tried.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from drq_spark.config import Config, RqVae
from drq_spark.progress import Progress
from drq_spark.train.bottleneck import (
    Bottleneck,
    Passed,
    Quantized,
    commitment,
    kmeans_start,
    quantize,
    rotated,
    straight_through,
)
from drq_spark.train.end_to_end import EndToEndTrainer


class RqVaeTrainer(EndToEndTrainer):
    """Trainer of `rq_vae`; see `drq_spark.train.contract.Trainer`."""

    name, stream = "rq_vae", 3

    def settings(self, config: Config) -> RqVae:
        """The section `train.rq_vae`."""
        return config.train.rq_vae

    def remedy(self, config: Config) -> str:
        """What to do where a level collapses."""
        random = config.train.rq_vae.start == "random"
        return "set train.rq_vae.start=kmeans, or use rqp_vae or drq" if random else "use rqp_vae or drq"

    def bottleneck(self, latents: Tensor, config: Config, generator: torch.Generator, progress: Progress) -> Bottleneck:
        """A bottleneck with books by k-means, or with the naive random ones."""
        settings = config.train.rq_vae
        if settings.start == "kmeans":
            return LearnedBooks(kmeans_start(latents, config, generator, progress), settings)
        sizes, dim = config.tokenizer.codebook_sizes, latents.shape[1]
        return LearnedBooks([random_book(size, dim, generator) for size in sizes], settings)


class LearnedBooks(Bottleneck):
    """Codebooks that are parameters, moved by the codebook loss."""

    def __init__(self, books: Sequence[Tensor], settings: RqVae) -> None:
        super().__init__()
        self.parts = nn.ParameterList(nn.Parameter(book) for book in books)
        self.settings = settings

    def books(self) -> list[Tensor]:
        """The parameters, without gradient."""
        return [book.detach() for book in self.parts]

    def forward(self, z: Tensor) -> Passed:
        """Quantize latents [n, d]; the loss moves codewords and encoder."""
        quantized = quantize(z, self.books())
        loss = codebook_loss(quantized, list(self.parts)) + self.settings.commitment * commitment(z, quantized)
        if self.settings.estimator == "rotation":
            return Passed(rotated_levels(z, quantized), loss, quantized)
        return Passed(straight_through(z, quantized.total), loss, quantized)


def rotated_levels(z: Tensor, quantized: Quantized) -> Tensor:
    """z_q forwards; backwards the sum of the rotations that take each residual to its codeword, see `rotated`."""
    pairs = zip(quantized.residuals, quantized.chosen, strict=True)
    return torch.stack([rotated(straight_through(z, r), c) for r, c in pairs]).sum(dim=0)


def codebook_loss(quantized: Quantized, books: Sequence[Tensor]) -> Tensor:
    """sum_l ||r^l - c^l_{s^l}||^2 per row [n], with gradient for the codewords only.

    They are taken by a product with the one-hot codes: the gradient of indexing adds in no fixed order on a GPU.
    """
    loss = torch.zeros(len(quantized.codes), device=quantized.codes.device)
    for residual, codes, book in zip(quantized.residuals, quantized.codes.T, books, strict=True):
        chosen = nn.functional.one_hot(codes, len(book)).to(book.dtype) @ book
        loss = loss + (residual - chosen).square().sum(dim=1)
    return loss


def random_book(size: int, dim: int, generator: torch.Generator) -> Tensor:
    """Codewords float32 [K, d] uniform in [-1/K, 1/K], the start of the first VQ-VAE (van den Oord et al. 2017)."""
    return (2 * torch.rand(size, dim, generator=generator) - 1) / size
