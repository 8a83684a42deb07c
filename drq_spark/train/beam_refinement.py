"""Joint refinement of residual codebooks on the codes of a beam, in torch and float32.

Books that were fitted level by level are the best for a greedy encoding of the levels before. A beam chooses other
paths, so all books are solved again, together, on its codes: one round is (encode by beam, joint least squares towards
the books, a price step on the new books). Rounds alone end in the nearest optimum. Noise on the codewords that falls
from round to round leads past it (stochastic relaxation: Zeger et al. 1992; of additive quantizers in LSQ++, Martinez
et al., ECCV 2018):

    c <- c + noise * sqrt(1 - round / rounds) * min(e, s) N(0, 1), round = 1 .. rounds

with e, s the RMS of a coordinate over what the codes leave, and over the codewords of the level about their mean. With
few dimensions noise can also lead astray, so some rounds without it make other books, and the better ones go on.

There are as many rounds as the setting says, at most: fewer where a codeword has few rows, because more would teach
the books what only those rows have, and fewer of very large books, because the work of a round grows with K^2.

These rounds take evenly spread rows, 16 or more a codeword and others every time, and a narrower beam. A few more
without noise end it: they take twice as many each time, the last all rows and the whole beam. Prices average the use of
several rounds, so in all but the last a quarter of the rows that one step alone would need measure it, others every
time. Here codes only fit books (`drq_spark.train.beam_codes`); those that count come from the frozen tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from drq_spark.arrays import I32
from drq_spark.blocks import row_blocks
from drq_spark.config import KMeans
from drq_spark.train.beam_codes import Layer, beam_codes
from drq_spark.train.decode_tables import joint_least_squares
from drq_spark.train.prices import SOFT_ROWS_PER_CODE, Balance, Prices

_TEMPERATURE = 0.5  # of the price step of a round, in units of price: hotter is less even, colder less faithful
_WIDTH = 2  # paths kept in all rounds but the last, at most: more do not help
_ROWS = 16  # at least, of a round, for each codeword of all levels
_SOFT_ROWS = 16  # for each code of a level, that measure its use in all rounds but the last
_PLAIN_SHARE = 4  # one round without noise for as many with it
_NOISE_ROWS = 4096  # that measure how much noise a round takes, to about a per cent
_ROUNDS_OF_ROWS = 0.27  # times the square of rows a codeword: more lower the error of few rows, but unique SIDs too
_CODEWORDS = 200_000  # of all rounds together, about: what keeps K = 4096 affordable


def refine(
    rows: Tensor,
    layers: Sequence[Layer],
    width: int,
    settings: KMeans,
    balance: Balance,
    generator: torch.Generator,
    step: Callable[[int, int], None],
) -> list[Layer]:
    """Refine books by rounds of encoding, solving and pricing; see the module docstring.

    Args:
        rows: float32 [n, d], latents about their mean.
        layers: The books in the coordinates of `rows`.
        width: Width of the beam.
        settings: `beam_rounds`, see `rounds_of`, and `beam_noise`.
        balance: The balance under which the prices were learned.
        generator: Generator of random numbers, on the CPU.
        step: Called after each round with (done, total).
    """
    words = sum(len(layer.codewords) for layer in layers)
    taken, rounds = len(rows) // max(1, len(rows) // (_ROWS * words)), rounds_of(len(rows), words, settings)
    if rounds == 0:
        return list(layers)
    return _Refinement(rows, width, rounds, settings.beam_noise, balance, generator, step, taken).run(list(layers))


def rounds_of(rows: int, words: int, settings: KMeans) -> int:
    """How many rounds refine `words` codewords of all levels on `rows`, but for the last few; 0 leaves the books."""
    few, large = int(_ROUNDS_OF_ROWS * (rows / words) ** 2), _CODEWORDS // words
    return min(settings.beam_rounds, max(few, _PLAIN_SHARE), max(large, _PLAIN_SHARE))


@dataclass
class _Refinement:
    """The rounds of one refinement; attributes as in `refine`, and the rows of all rounds but the last few."""

    rows: Tensor
    width: int
    rounds: int
    noise: float
    balance: Balance
    generator: torch.Generator
    step: Callable[[int, int], None]
    taken: int
    done: int = 0

    def run(self, start: list[Layer]) -> list[Layer]:
        """Do the rounds with noise and those without, then the last rounds on the better books."""
        layers = start
        for left in reversed(range(self._plain_rounds)):
            layers = self._round(layers, self._part(self.taken, left), 0.0)
        if self.noise > 0:
            noisy = start
            for left in reversed(range(self.rounds)):
                noise = self.noise * (left / self.rounds) ** 0.5
                noisy = self._round(noisy, self._part(self.taken, left), noise)
            layers = min(layers, noisy, key=self._error)
        for halvings in reversed(range(self._last_rounds)):
            part = self._part(len(self.rows) >> halvings, 0)
            layers = self._round(layers, part, 0.0, last=halvings == 0)
        return layers

    @property
    def _plain_rounds(self) -> int:
        return max(1, self.rounds // _PLAIN_SHARE) if self.noise > 0 else self.rounds

    @property
    def _total(self) -> int:
        noisy = self.rounds if self.noise > 0 else 0
        return self._plain_rounds + noisy + self._last_rounds

    @property
    def _last_rounds(self) -> int:
        return (len(self.rows) // self.taken).bit_length()

    def _part(self, count: int, index: int) -> slice | Tensor:
        """So many evenly spread rows; another index gives other ones."""
        rows = len(self.rows)
        if count == rows:
            return slice(None)
        return (torch.arange(count) * rows // count + index % -(-rows // count)) % rows

    def _round(self, layers: Sequence[Layer], part: slice | Tensor, noise: float, *, last: bool = False) -> list[Layer]:
        rows = self.rows[part]
        codes = beam_codes(rows, layers, self.width if last else min(_WIDTH, self.width))
        solved = _solved(rows, codes, layers, noise, self.generator)
        if self.balance.dial > 0:
            use = None if self.balance.use is None else self.balance.use[part]
            soft = SOFT_ROWS_PER_CODE if last or use is not None else _SOFT_ROWS  # exposure is a matter of few rows
            balance = replace(self.balance, use=use)
            solved = priced(rows, codes, solved, len(self.rows), balance, self.generator, soft, self.done)
        self.done += 1
        self.step(self.done, self._total)
        return solved

    def _error(self, layers: Sequence[Layer]) -> float:
        """Squared error of some of the rows.

        Where rounds take a part of the rows, these are others than the last round took, for those it took flatter.
        """
        rows = self.rows[self._part(self.taken, 1)]
        left = left_rms(rows, [layer.codewords for layer in layers], beam_codes(rows, layers, min(_WIDTH, self.width)))
        return float(left.square().sum())


def _solved(rows: Tensor, codes: I32, layers: Sequence[Layer], noise: float, generator: torch.Generator) -> list[Layer]:
    """The layers with books solved together, codes int32 [n, L] fixed, and noise on them."""
    prior = [layer.codewords.cpu().numpy() for layer in layers]
    books = joint_least_squares(rows.cpu().numpy(), codes, prior)
    solved = [torch.from_numpy(book).to(rows.device) for book in books]
    if noise > 0:
        stride = max(1, len(rows) // _NOISE_ROWS)
        left = left_rms(rows[::stride], solved, codes[::stride])
        for level, book in enumerate(solved):
            unit = torch.minimum(left, _spread(book, codes[:, level]))
            solved[level] = book + noise * unit * torch.randn(book.shape, generator=generator).to(book.device)
    return [replace(layer, codewords=book) for layer, book in zip(layers, solved, strict=True)]


def left_rms(rows: Tensor, books: Sequence[Tensor], codes: I32) -> Tensor:
    """RMS of every coordinate of rows - the sum of their codewords, float32 [d]."""
    total = torch.zeros(rows.shape[1], dtype=torch.float64, device=rows.device)
    for block in row_blocks(*rows.shape):
        left = rows[block].clone()
        for level, book in enumerate(books):
            left -= book[torch.from_numpy(codes[block, level]).long().to(book.device)]
        total += left.square_().sum(dim=0, dtype=torch.float64)
    return (total / len(rows)).sqrt().float()


def _spread(book: Tensor, codes: I32) -> Tensor:
    """RMS of every coordinate of the codewords [K, d] of some rows, codes int32 [n], about their mean: float32 [d]."""
    share = torch.from_numpy(np.bincount(codes, minlength=len(book)) / len(codes))[:, None].to(book.device)
    words = book.double()
    mean = (share * words).sum(dim=0)
    return (share * (words - mean).square()).sum(dim=0).sqrt().float()


def priced(
    rows: Tensor,
    codes: I32,
    layers: Sequence[Layer],
    items: int,
    balance: Balance,
    generator: torch.Generator,
    soft_rows: int = SOFT_ROWS_PER_CODE,
    turn: int = 0,
) -> list[Layer]:
    """The layers after a price step on what the codes of the levels before leave of some of the rows.

    Args:
        items: How many rows the fit has, of which `rows` are a part.
        soft_rows: How many for each code of the largest level measure use, at least.
        turn: Another number takes other ones.
    """
    stride = max(1, len(rows) // (soft_rows * max(len(layer.codewords) for layer in layers)))
    part = slice(turn % stride, None, stride)
    priced, residual = [], rows[part].clone()
    use = None if balance.use is None else balance.use[part]
    for layer, code in zip(layers, codes[part].T, strict=True):
        weighed = residual if layer.weight is None else residual * layer.weight
        words = layer.codewords if layer.weight is None else layer.codewords * layer.weight
        weight = balance.weight(items / len(words))
        price = Prices(weighed, len(words), use, generator).step(words, layer.price, weight, _TEMPERATURE)
        residual -= layer.codewords[torch.from_numpy(code).long().to(rows.device)]
        priced.append(replace(layer, price=price))
    return priced
