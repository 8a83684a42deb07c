"""Encoder, residual quantizer and decoder trained together (RQ-VAE, Lee et al. 2022, arXiv 2203.01941).

    loss = (||u - decoder(z_q)||^2 + loss of the bottleneck) / D, averaged over items, z = encoder(u)

in coordinates u = (x - mean) / unit with unit the RMS of a coordinate, so that no setting depends on the scale of x.
Encoder and decoder start at PCA, see `drq_spark.train.vae`. Adam, one-cycle learning rate, mini-batches; the work is
bounded by steps. What differs between the tokenizers, how the books learn, is their bottleneck.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from drq_spark.arrays import F32
from drq_spark.blocks import row_blocks
from drq_spark.config import Config, EndToEnd
from drq_spark.formulas.usage import perplexity, utilization
from drq_spark.progress import Progress
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.latent_unit import effective_rms
from drq_spark.tokenizer.network import ResidualMLP
from drq_spark.train.bottleneck import Bottleneck, Quantized, quantize
from drq_spark.train.collapse import collapse_warnings
from drq_spark.train.contract import TrainingData
from drq_spark.train.descent import Descent, random_batches
from drq_spark.train.evaluation import sample_figures
from drq_spark.train.kmeans import require_rows
from drq_spark.train.latents import latents_of
from drq_spark.train.memory import START_ROWS_PER_CODE, end_to_end_bytes
from drq_spark.train.networks import Coordinates, SkipNetwork
from drq_spark.train.runtime import choose_device, random_stream

_POINTS = 30  # times that the state is judged: the points of the curve
_JUDGED_ROWS = 20_000  # rows that judge it, at most


class EndToEndTrainer(ABC):
    """A trainer, see `drq_spark.train.contract.Trainer`; what makes it this one are its settings and its bottleneck.

    Attributes:
        name: Name in the registry.
        stream: Purpose of its random numbers, see `random_stream`.
    """

    name: ClassVar[str]
    stream: ClassVar[int]

    def memory_bytes(self, rows: int, dim: int, config: Config) -> int:
        """Peak bytes as `Trainer.memory_bytes` has them."""
        return end_to_end_bytes(rows, dim, config.tokenizer.codebook_sizes, self.settings(config))

    def fit(self, data: TrainingData, config: Config, progress: Progress) -> Tokenizer:
        """Train all parts together."""
        return fit_end_to_end(self, data, config, progress)

    @abstractmethod
    def settings(self, config: Config) -> EndToEnd:
        """The trainer's section of the settings."""

    @abstractmethod
    def remedy(self, config: Config) -> str:
        """What to do where it collapses."""

    @abstractmethod
    def bottleneck(self, latents: Tensor, config: Config, generator: torch.Generator, progress: Progress) -> Bottleneck:
        """A bottleneck that starts from latents float32 [n, d], n >= every K.

        They are those that the untrained encoder gives the first fit rows.
        """


@dataclass
class Curve:
    """How training went, a point each time the state was judged; plain JSON values.

    Attributes:
        steps: Optimizer steps until then, 0 at the start.
        relative_mse: Relative error of the held-out rows (of fit rows where there are none).
        used: Share of the codes of each level in the batches since the point before; none at the start.
    """

    steps: list[int] = field(default_factory=list)
    relative_mse: list[float] = field(default_factory=list)
    used: list[list[float]] = field(default_factory=list)


def fit_end_to_end(trainer: EndToEndTrainer, data: TrainingData, config: Config, progress: Progress) -> Tokenizer:
    """Train on the fit rows; the state that reconstructs the held-out rows best (the fit rows where none) ships.

    Raises:
        InputRefused: fewer rows than codes.
        TrainingFailed: the loss is not finite.
    """
    require_rows(len(data.fit), config.tokenizer.codebook_sizes)
    run = _Run(trainer, data, config, progress)
    curve = run.train()
    encoder, books, decoder = run.frozen()
    latents = latents_of(encoder, data.prepared)
    tokenizer = Tokenizer(
        kind=trainer.name,
        dim=data.fit.shape[1],
        normalize=config.items.normalize,
        codebooks=books,
        encoder=encoder,
        decoder=decoder,
        latent_rms=effective_rms(latents, (None,) * len(books)),
    )
    figures = sample_figures(tokenizer, latents, data.held_out_rows)
    for level in range(tokenizer.levels):
        progress(f"level {level + 1}", level + 1, tokenizer.levels, **figures.shown(level))
    warnings = collapse_warnings(figures.fit, tokenizer.codebook_sizes, data.fit, trainer.remedy(config))
    if min(curve.relative_mse) == curve.relative_mse[0]:
        warnings.append(f"training never improved on its start: lower train.{trainer.name}.learning_rate")
    training = {"levels": figures.described(), "curve": asdict(curve), "warnings": warnings}
    return replace(tokenizer, training=training)


class _Model(nn.Module):
    """Encoder, bottleneck and decoder, in training coordinates."""

    bottleneck: Bottleneck

    def __init__(self, axes: F32, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.encoder = SkipNetwork(axes, hidden, generator)
        self.decoder = SkipNetwork(np.ascontiguousarray(axes.T), hidden, generator)

    def loss(self, u: Tensor) -> tuple[Tensor, Quantized]:
        """The loss of a batch u [n, D], and what the bottleneck saw."""
        passed = self.bottleneck(self.encoder(u))
        error = (self.decoder(passed.latents) - u).square().sum(dim=1)
        return (error + passed.loss).mean() / u.shape[1], passed.quantized


class _Run:
    """Model, optimizer and random numbers of one training."""

    def __init__(self, trainer: EndToEndTrainer, data: TrainingData, config: Config, progress: Progress) -> None:
        self.trainer, self.settings, self.progress = trainer, trainer.settings(config), progress
        self.device, self.sizes = choose_device(config), config.tokenizer.codebook_sizes
        self.generator = random_stream(config.seed, trainer.stream)
        self.coordinates = Coordinates.of(data.fit)
        self.mean, self.fit = torch.from_numpy(self.coordinates.mean), torch.from_numpy(data.fit)
        self.judged = torch.from_numpy(data.held_out if len(data.held_out) else data.fit)[:_JUDGED_ROWS]
        self.batch = min(self.settings.batch_size, len(self.fit))
        self.steps = min(self.settings.steps, self.settings.epochs * (len(self.fit) // self.batch))
        self.model = self._started(config)
        adam = torch.optim.Adam(self.model.parameters(), lr=self.settings.learning_rate)
        self.descent = Descent(adam, self.steps, f"lower train.{trainer.name}.learning_rate")

    def train(self) -> Curve:
        """Do all steps; the model ends in the state that was judged best, the start included."""
        best = self.judge()
        curve, kept = Curve([0], [best]), deepcopy(self.model.state_dict())
        batches = random_batches(len(self.fit), self.batch, self.generator)
        counts = [torch.zeros(size, dtype=torch.int64) for size in self.sizes]
        every = -(-self.steps // _POINTS)
        for done in range(1, self.steps + 1):
            self._count(counts, self.step(next(batches)))
            if done % every and done < self.steps:
                continue
            last = self.judge()
            if last < best:
                best, kept = last, deepcopy(self.model.state_dict())
            self._show(curve, done, last, counts)
        self.model.load_state_dict(kept)
        return curve

    def step(self, rows: Tensor) -> Tensor:
        """Do one optimizer step on these fit rows int64 [n]; returns their codes int64 [n, L]."""
        loss, quantized = self.model.loss(self._moved(self.fit[rows]))
        self.descent.step(loss)
        self.model.bottleneck.after_step(quantized, self.generator)
        return quantized.codes

    @torch.no_grad()
    def judge(self) -> float:
        """Relative error of decoder(z_q) on the judged rows."""
        lost = total = 0.0
        books = self.model.bottleneck.books()
        for block in row_blocks(len(self.judged), max(self.judged.shape[1], self.settings.hidden)):
            u = self._moved(self.judged[block])
            decoded = self.model.decoder(quantize(self.model.encoder(u), books).total)
            lost += float((decoded - u).square().sum(dtype=torch.float64))
            total += float(u.square().sum(dtype=torch.float64))
        return lost / total if total > 0 else 0.0

    def frozen(self) -> tuple[ResidualMLP, tuple[F32, ...], ResidualMLP]:
        """Encoder, codebooks and decoder in the coordinates of x; the unit is a power of two and rounds nothing."""
        unit, mean = self.coordinates.unit, self.coordinates.mean
        books = tuple((book * unit).cpu().numpy() for book in self.model.bottleneck.books())
        zero = np.zeros(books[0].shape[1], np.float32)
        encoder = self.model.encoder.export(unit, shift=mean, bias=zero)
        return encoder, books, self.model.decoder.export(unit, shift=zero, bias=mean)

    @torch.no_grad()
    def _started(self, config: Config) -> _Model:
        """The model at PCA, with the books that the trainer starts from."""
        latent_dim = min(self.settings.latent_dim, self.fit.shape[1])
        model = _Model(self.coordinates.axes[:latent_dim], self.settings.hidden, self.generator).to(self.device)
        rows = self.fit[: START_ROWS_PER_CODE * max(self.sizes)]
        latents = torch.empty(len(rows), latent_dim, device=self.device)
        for block in row_blocks(len(rows), max(rows.shape[1], self.settings.hidden)):
            latents[block] = model.encoder(self._moved(rows[block]))
        model.bottleneck = self.trainer.bottleneck(latents, config, self.generator, self.progress)
        return model.to(self.device)

    def _moved(self, x: Tensor) -> Tensor:
        """Rows of x in training coordinates, on the device."""
        return ((x - self.mean) / self.coordinates.unit).to(self.device)

    def _count(self, counts: list[Tensor], codes: Tensor) -> None:
        for count, chosen in zip(counts, codes.T.cpu(), strict=True):
            count += torch.bincount(chosen, minlength=len(count))

    def _show(self, curve: Curve, done: int, relative_mse: float, counts: list[Tensor]) -> None:
        """Add a point to the curve, tell it, and begin to count anew."""
        used = [utilization(count.numpy()) for count in counts]
        curve.steps.append(done)
        curve.relative_mse.append(relative_mse)
        curve.used.append(used)
        figures = {"relative_mse": relative_mse}
        for level, count in enumerate(counts):
            figures[f"used_{level + 1}"] = used[level]
            figures[f"perplexity_{level + 1}"] = perplexity(count.numpy()) / len(count)
            count.zero_()
        self.progress(self.trainer.name, done, self.steps, **figures)
