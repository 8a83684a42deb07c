"""RQP-VAE: an RQ-VAE whose books are moving averages (DRQ, arXiv 2606.01844; VQ-VAE-2, Razavi et al. 2019).

    n_k <- decay n_k + (1 - decay) #{i: s_i = k}
    m_k <- decay m_k + (1 - decay) sum_{i: s_i = k} r_i
    c_k = m_k / n_k

A code with n_k below `revive_below` of the mean is dead: it moves to a random residual of the batch and counts as the
mean again (Jukebox, Dhariwal et al. 2020; SoundStream, Zeghidour et al. 2021). The loss of the bottleneck is the
commitment alone; gradients pass straight through.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from drq_spark.config import Config, RqpVae
from drq_spark.progress import Progress
from drq_spark.train.bottleneck import (
    Bottleneck,
    Passed,
    Quantized,
    commitment,
    kmeans_start,
    quantize,
    straight_through,
)
from drq_spark.train.end_to_end import EndToEndTrainer
from drq_spark.train.nearest import sum_by_code


class RqpVaeTrainer(EndToEndTrainer):
    """Trainer of `rqp_vae`; see `drq_spark.train.contract.Trainer`."""

    name, stream = "rqp_vae", 4

    def settings(self, config: Config) -> RqpVae:
        """The section `train.rqp_vae`."""
        return config.train.rqp_vae

    def remedy(self, config: Config) -> str:
        """What to do where a level collapses."""
        del config
        return "raise train.rqp_vae.steps or revive_below, or use drq"

    def bottleneck(self, latents: Tensor, config: Config, generator: torch.Generator, progress: Progress) -> Bottleneck:
        """A bottleneck with books by k-means."""
        return AveragedBooks(kmeans_start(latents, config, generator, progress), config.train.rqp_vae)


class AveragedBooks(Bottleneck):
    """Codebooks that are moving averages of residuals."""

    def __init__(self, books: Sequence[Tensor], settings: RqpVae) -> None:
        super().__init__()
        self.settings, self.levels = settings, len(books)
        for level, book in enumerate(books):
            self.register_buffer(f"book_{level}", book)
            self.register_buffer(f"count_{level}", torch.ones(len(book)))

    def books(self) -> list[Tensor]:
        """The moving averages."""
        return [self.get_buffer(f"book_{level}") for level in range(self.levels)]

    def forward(self, z: Tensor) -> Passed:
        """Quantize latents [n, d]; the loss is the commitment."""
        quantized = quantize(z, self.books())
        loss = self.settings.commitment * commitment(z, quantized)
        return Passed(straight_through(z, quantized.total), loss, quantized)

    @torch.no_grad()
    def after_step(self, quantized: Quantized, generator: torch.Generator) -> None:
        """Move the averages by one batch, then revive dead codes."""
        for level, (book, residual) in enumerate(zip(self.books(), quantized.residuals, strict=True)):
            count = self.get_buffer(f"count_{level}")
            average(book, count, residual, quantized.codes[:, level], self.settings.decay)
            revive(book, count, residual, self.settings.revive_below, generator)


def average(book: Tensor, count: Tensor, residual: Tensor, codes: Tensor, decay: float) -> None:
    """One step of the moving averages, in place.

    Args:
        book: c = m / n, float32 [K, d].
        count: n in batches of K rows, so that the mean is 1, float32 [K].
        residual: float32 [b, d].
        codes: int64 [b].
        decay: Below 1.
    """
    share = len(book) / len(codes)
    sums, counts = sum_by_code(residual, codes, len(book))
    total = decay * count[:, None] * book + (1 - decay) * share * sums.float()
    count.mul_(decay).add_(counts * share, alpha=1 - decay)
    book.copy_(total / count.clamp(min=torch.finfo(count.dtype).tiny)[:, None])


def revive(book: Tensor, count: Tensor, residual: Tensor, share: float, generator: torch.Generator) -> None:
    """Move codes of less than `share` of the mean count to rows of the batch, drawn without replacement; in place."""
    dead = torch.nonzero(count < share * count.mean()).flatten()[: len(residual)]
    chosen = torch.randperm(len(residual), generator=generator)[: len(dead)].to(book.device)
    book[dead] = residual[chosen]
    count[dead] = 1.0
