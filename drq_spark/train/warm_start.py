"""Books that are fitted again from where they stood, so that few items get another SID.

A retraining knows the SIDs of the items that were there before. It begins at the old books and does rounds like those
of `train.beam_refinement`, with three differences:

- **What an item had, it has.** In the solution an item that has a SID counts under it, whichever path is cheapest now:
  books that move are then those of the codes as readers know them, and an item that its path no longer suits by a
  little pulls it back instead of pulling another one.
- **A pull.** Each codeword is drawn to its old place with the weight of p times the items that had its code. A code
  that held few is nearly free to go where the new items are.
- **Freed codes.** Of the first level the codes that held the fewest items are given up and start again at k-means of
  the items that have no SID yet: a share of the codes, in proportion to the share of these items. Really new kinds of
  items need codes of their own; correcting an old code on later levels costs more.

New items count less in the prices than the others, because a price that follows them drives old items away. With a
pull of infinity the books stay as they are, with one of 0 they only start there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf

import numpy as np
import torch
from torch import Tensor

from drq_spark.arrays import F32, F64, I32
from drq_spark.config import Config
from drq_spark.progress import Progress
from drq_spark.train.beam_codes import Layer, beam_codes
from drq_spark.train.beam_refinement import left_rms, priced
from drq_spark.train.contract import UNKNOWN
from drq_spark.train.decode_tables import RIDGE, joint_least_squares
from drq_spark.train.nearest import assign, sum_by_code
from drq_spark.train.prices import Balance

_ROUNDS = 16  # with noise, where the pull is weak
_LAST_ROUNDS = 4  # without
_STRONG = 1.0  # a pull from here on needs the last rounds alone
_QUIET = 10.0  # noise falls by 1 / (1 + _QUIET p): what is pulled back need not be thrown about
_ROWS = 16  # at least, of a round, for each codeword of all levels
_NEW_USE = 0.3  # what a new item counts for in the use of codes, beside an old one
_KMEANS_ITERATIONS = 15  # of the freed codes


@dataclass(frozen=True)
class Pull:
    """How much holds the books: `strength` is p, `freed` the share of freed codes in that of the new items."""

    strength: float
    freed: float = 0.0


@dataclass(frozen=True)
class WarmStart:
    """Where a fit begins.

    Attributes:
        codebooks, prices: Those of the old tokenizer, in the latents of today.
        codes: int32 [n, L], SIDs of the rows that are fitted; `UNKNOWN` for those that have none.
        pull: What holds the books.
    """

    codebooks: tuple[F32, ...]
    prices: tuple[F32, ...] | None
    codes: I32
    pull: Pull


def warm_layers(
    rows: Tensor,
    layers: Sequence[Layer],
    codes: I32,
    pull: Pull,
    config: Config,
    balance: Balance,
    generator: torch.Generator,
    progress: Progress,
) -> list[Layer]:
    """Do the rounds of the module docstring.

    Args:
        rows: float32 [n, d], latents about their mean.
        layers: The old books in the coordinates of `rows`.
        codes: As in `WarmStart`.
        pull: As in `WarmStart`; infinity gives the layers back.
        config: Beam and noise.
        balance: The balance of a free fit.
        generator: The only source of randomness, on the CPU.
        progress: Is told of every round.
    """
    if pull.strength == inf:
        return list(layers)
    known = (codes != UNKNOWN).all(axis=1)
    use = np.where(known, 1.0, _NEW_USE) * (1.0 if balance.use is None else balance.use.numpy())
    weighed = Balance(balance.dial, torch.from_numpy(use))
    started, freed = _freed(rows, layers, codes, known, pull, generator)
    fit = _WarmFit(rows, codes, known, layers, freed, pull, weighed, generator, config.tokenizer.beam_width)
    step = partial(progress, "all levels: warm start")
    return fit.run(started, config.train.kmeans.beam_noise / (1 + _QUIET * pull.strength), step)


def _freed(
    rows: Tensor, layers: Sequence[Layer], codes: I32, known: np.ndarray, pull: Pull, generator: torch.Generator
) -> tuple[list[Layer], I32]:
    """The layers with the freed codes of the first level at k-means of the new items, and which codes these are."""
    first, new = layers[0], np.flatnonzero(~known)
    size = len(first.codewords)
    count = min(round(pull.freed * len(new) / len(known) * size), len(new), size - 1)
    if count == 0:
        return list(layers), np.empty(0, np.int32)
    held = np.bincount(codes[known, 0], minlength=size)
    freed = np.argsort(held, kind="stable")[:count].astype(np.int32)
    chosen = torch.from_numpy(freed).long()
    words, price = first.codewords.clone(), first.price.clone()
    metric = torch.ones(rows.shape[1], device=rows.device) if first.weight is None else first.weight
    words[chosen.to(words.device)] = _means(rows[torch.from_numpy(new).to(rows.device)], count, metric, generator)
    price[chosen] = 0.0
    return [replace(first, codewords=words, price=price), *layers[1:]], freed


def _means(rows: Tensor, size: int, metric: Tensor, generator: torch.Generator) -> Tensor:
    """K = `size` means of rows, by plain k-means in a metric from random rows: float32 [K, d]."""
    words = rows[torch.randperm(len(rows), generator=generator)[:size].to(rows.device)]
    weighed = rows * metric
    for _ in range(_KMEANS_ITERATIONS):
        sums, counts = sum_by_code(rows, assign(weighed, words * metric), size)
        words = torch.where((counts > 0)[:, None], (sums / counts.clamp(min=1)[:, None]).float(), words)
    return words


@dataclass
class _WarmFit:
    """The rounds of one warm start; attributes as in `warm_layers`, and `freed`: codes of the first level."""

    rows: Tensor
    codes: I32
    known: np.ndarray
    old: Sequence[Layer]
    freed: I32
    pull: Pull
    balance: Balance
    generator: torch.Generator
    width: int

    def run(self, layers: list[Layer], noise: float, step: partial[None]) -> list[Layer]:
        """Rounds with noise that falls, then those without, which end with all rows."""
        rounds = list(self._rounds(noise))
        for done, (part, loud) in enumerate(rounds):
            layers = self._round(layers, part, loud)
            step(done + 1, len(rounds))
        return layers

    def _rounds(self, noise: float) -> Iterator[tuple[slice, float]]:
        """Which rows a round takes, and its noise."""
        words = sum(len(layer.codewords) for layer in self.old)
        stride = max(1, len(self.rows) // (_ROWS * words))
        for done in range(_ROUNDS if self.pull.strength < _STRONG else 0):
            yield slice(done % stride, None, stride), noise * (1 - (done + 1) / _ROUNDS) ** 0.5
        for left in reversed(range(_LAST_ROUNDS)):
            yield slice(None, None, min(stride, 1 << left)), 0.0

    def _round(self, layers: Sequence[Layer], part: slice, noise: float) -> list[Layer]:
        rows = self.rows[part]
        codes = self._held(beam_codes(rows, layers, min(2, self.width)), part)
        solved = self._solved(rows, codes, layers, noise)
        if self.balance.dial == 0:
            return solved
        use = None if self.balance.use is None else self.balance.use[part]
        return priced(rows, codes, solved, len(self.rows), replace(self.balance, use=use), self.generator)

    def _held(self, codes: I32, part: slice) -> I32:
        """The codes of the items: those that have a SID keep it, but for the codes that are freed."""
        if self.pull.strength == 0:
            return codes
        own = self.codes[part]
        held = self.known[part] & ~np.isin(own[:, 0], self.freed)
        return np.where(held[:, None], own, codes)

    def _solved(self, rows: Tensor, codes: I32, layers: Sequence[Layer], noise: float) -> list[Layer]:
        """The layers with books solved on the codes of some rows, pulled to where they stood."""
        prior = [layer.codewords.cpu().numpy() for layer in self.old]
        if len(self.freed):
            prior[0] = prior[0].copy()
            prior[0][self.freed] = layers[0].codewords.cpu().numpy()[self.freed]
        ridges = self._ridges(codes)
        solve = joint_least_squares if self.width > 1 else level_means
        books = [torch.from_numpy(book).to(rows.device) for book in solve(rows.cpu().numpy(), codes, prior, ridges)]
        if noise > 0:
            unit = left_rms(rows, books, codes)
            books = [b + noise * unit * torch.randn(b.shape, generator=self.generator).to(b.device) for b in books]
        return [replace(layer, codewords=book) for layer, book in zip(layers, books, strict=True)]

    def _ridges(self, codes: I32) -> list[F64]:
        """What holds each codeword, in items: float64 [K, 1] per level."""
        share = len(codes) / len(self.codes)  # of a round that takes a part of the rows
        ridges: list[F64] = []
        for level, layer in enumerate(self.old):
            held = np.bincount(self.codes[self.known, level], minlength=len(layer.codewords))
            ridge = RIDGE + self.pull.strength * share * held.astype(np.float64)
            if level == 0:
                ridge[self.freed] = RIDGE
            ridges.append(ridge[:, None])
        return ridges


def level_means(latents: F32, codes: I32, prior: Sequence[F32], ridges: Sequence[F64]) -> tuple[F32, ...]:
    """Books for a greedy encoding: level by level the mean of what the levels before leave, drawn to a prior.

    Arguments as in `joint_least_squares`.
    """
    residual, books = latents.astype(np.float64), []
    for level, (old, ridge) in enumerate(zip(prior, ridges, strict=True)):
        sums = np.zeros(old.shape)
        np.add.at(sums, codes[:, level], residual)
        count = np.bincount(codes[:, level], minlength=len(old))[:, None]
        book = ((sums + ridge * old) / (count + ridge)).astype(np.float32)
        residual -= book[codes[:, level]]
        books.append(book)
    return tuple(books)
