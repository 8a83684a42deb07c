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

These rounds take every stride-th row, others every time, and a narrower beam. A few more without noise end it: the
stride halves until the last takes all rows and the whole beam. The search is that of `drq_spark.tokenizer.beam` without
its certificate: here codes only fit books; the codes that count come from the frozen tokenizer.
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
from drq_spark.train.decode_tables import joint_least_squares
from drq_spark.train.prices import SOFT_ROWS_PER_CODE, Balance, Prices

_TILE_ELEMENTS = 2**22  # scores of a tile of rows
_TEMPERATURE = 0.5  # of the price step of a round, in units of price: hotter is less even, colder less faithful
_WIDTH = 2  # paths kept in all rounds but the last, at most: more do not help
_ROWS = 16  # at least, of a round, for each codeword of all levels
_PLAIN_SHARE = 4  # one round without noise for as many with it
_ROUNDS_OF_ROWS = 0.27  # times the square of rows a codeword: more lower the error of few rows, but unique SIDs too
_CODEWORDS = 200_000  # of all rounds together, about: what keeps K = 4096 affordable


@dataclass(frozen=True)
class Layer:
    """One level: codewords float32 [K, d], price float64 [K] on the CPU, weight float32 [d] or None for ones."""

    codewords: Tensor
    price: Tensor
    weight: Tensor | None


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
    stride, rounds = max(1, len(rows) // (_ROWS * words)), rounds_of(len(rows), words, settings)
    if rounds == 0:
        return list(layers)
    return _Refinement(rows, width, rounds, settings.beam_noise, balance, generator, step, stride).run(list(layers))


def rounds_of(rows: int, words: int, settings: KMeans) -> int:
    """How many rounds refine `words` codewords of all levels on `rows`, but for the last few; 0 leaves the books."""
    few, large = int(_ROUNDS_OF_ROWS * (rows / words) ** 2), _CODEWORDS // words
    return min(settings.beam_rounds, max(few, _PLAIN_SHARE), max(large, _PLAIN_SHARE))


@dataclass
class _Refinement:
    """The rounds of one refinement; attributes as in `refine`, and the stride of all rounds but the last few."""

    rows: Tensor
    width: int
    rounds: int
    noise: float
    balance: Balance
    generator: torch.Generator
    step: Callable[[int, int], None]
    stride: int
    done: int = 0

    def run(self, start: list[Layer]) -> list[Layer]:
        """Do the rounds with noise and those without, then the last rounds on the better books."""
        layers = start
        for left in reversed(range(self._plain_rounds)):
            layers = self._round(layers, self._part(self.stride, left), 0.0)
        if self.noise > 0:
            noisy = start
            for left in reversed(range(self.rounds)):
                noise = self.noise * (left / self.rounds) ** 0.5
                noisy = self._round(noisy, self._part(self.stride, left), noise)
            layers = min(layers, noisy, key=self._error)
        for halvings in reversed(range(self.stride.bit_length())):
            layers = self._round(layers, self._part(1 << halvings, 0), 0.0, self.width if halvings == 0 else _WIDTH)
        return layers

    @property
    def _plain_rounds(self) -> int:
        return max(1, self.rounds // _PLAIN_SHARE) if self.noise > 0 else self.rounds

    @property
    def _total(self) -> int:
        noisy = self.rounds if self.noise > 0 else 0
        return self._plain_rounds + noisy + self.stride.bit_length()

    def _part(self, stride: int, index: int) -> slice:
        """A slice of every stride-th row; another index gives other rows."""
        return slice(index % stride, None, stride)

    def _round(self, layers: Sequence[Layer], part: slice, noise: float, width: int = _WIDTH) -> list[Layer]:
        codes = beam_codes(self.rows[part], layers, min(width, self.width))
        solved = _solved(self.rows[part], codes, layers, noise, self.generator)
        if self.balance.dial > 0:
            use = None if self.balance.use is None else self.balance.use[part]
            balance = replace(self.balance, use=use)
            solved = priced(self.rows[part], codes, solved, len(self.rows), balance, self.generator)
        self.done += 1
        self.step(self.done, self._total)
        return solved

    def _error(self, layers: Sequence[Layer]) -> float:
        """Squared error of some of the rows.

        Where rounds take a part of the rows, these are others than the last round took, for those it took flatter.
        """
        rows = self.rows[self._part(self.stride, 1)]
        left = left_rms(rows, [layer.codewords for layer in layers], beam_codes(rows, layers, min(_WIDTH, self.width)))
        return float(left.square().sum())


def _solved(rows: Tensor, codes: I32, layers: Sequence[Layer], noise: float, generator: torch.Generator) -> list[Layer]:
    """The layers with books solved together, codes int32 [n, L] fixed, and noise on them."""
    books = joint_least_squares(rows.cpu().numpy(), codes, [layer.codewords.cpu().numpy() for layer in layers])
    solved = [torch.from_numpy(book).to(rows.device) for book in books]
    if noise > 0:
        left = left_rms(rows, solved, codes)
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


def beam_codes(rows: Tensor, layers: Sequence[Layer], width: int) -> I32:
    """Codes int32 [n, L] of the cheapest path of each row."""
    codes = np.empty((len(rows), len(layers)), np.int32)
    widest = width * max(rows.shape[1], *(len(layer.codewords) for layer in layers))
    for tile in row_blocks(len(rows), widest, _TILE_ELEMENTS):
        codes[tile] = _search(rows[tile], layers, width).cpu().numpy()
    return codes


def _search(rows: Tensor, layers: Sequence[Layer], width: int) -> Tensor:
    """Codes int64 [n, L] of a tile."""
    count = len(rows)
    row = torch.arange(count, device=rows.device)[:, None]
    residual, paid = rows[:, None], torch.zeros(count, 1, device=rows.device)
    codes = torch.zeros(count, 1, 0, dtype=torch.int64, device=rows.device)
    for index, layer in enumerate(layers):
        price = layer.price.float().to(rows.device)
        cost = _costs(residual, layer, price, paid)
        keep = 1 if index == len(layers) - 1 else min(width, cost.shape[1])
        best = cost.topk(keep, dim=1, largest=False).indices
        parent, code = best // len(layer.codewords), best % len(layer.codewords)
        paid = paid[row, parent] + price[code]
        residual = residual[row, parent] - layer.codewords[code]
        codes = torch.cat([codes[row, parent], code[:, :, None]], dim=2)
    return codes[:, 0]


def _costs(residual: Tensor, layer: Layer, price: Tensor, paid: Tensor) -> Tensor:
    """||w (r - c_k)||^2 + b_k + what the path has paid: [n, P, d], [n, P] -> [n, P * K]."""
    weighed = residual if layer.weight is None else residual * layer.weight
    words = layer.codewords if layer.weight is None else layer.codewords * layer.weight
    paths = weighed.reshape(-1, weighed.shape[2])
    cost = torch.addmm(words.square().sum(dim=1) + price, paths, words.T, alpha=-2)
    cost += (paths.square().sum(dim=1) + paid.reshape(-1))[:, None]
    return cost.view(len(residual), -1)


def priced(
    rows: Tensor, codes: I32, layers: Sequence[Layer], items: int, balance: Balance, generator: torch.Generator
) -> list[Layer]:
    """The layers after a price step on what the codes of the levels before leave of some of the rows.

    Args:
        items: How many rows the fit has, of which `rows` are a part.
    """
    stride = max(1, len(rows) // (SOFT_ROWS_PER_CODE * max(len(layer.codewords) for layer in layers)))
    priced, residual = [], rows[::stride]
    use = None if balance.use is None else balance.use[::stride]
    for layer, code in zip(layers, codes[::stride].T, strict=True):
        weighed = residual if layer.weight is None else residual * layer.weight
        words = layer.codewords if layer.weight is None else layer.codewords * layer.weight
        weight = balance.weight(items / len(words))
        price = Prices(weighed, len(words), use, generator).step(words, layer.price, weight, _TEMPERATURE)
        residual = residual - layer.codewords[torch.from_numpy(code).long().to(rows.device)]
        priced.append(replace(layer, price=price))
    return priced
