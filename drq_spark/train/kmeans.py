"""One level of dataset-level k-means: Lloyd iterations from a balanced start, with or without prices that stay.

From random rows, Lloyd's algorithm ends with many codes on outliers and most rows on few codes. Two remedies:

- restarts: a code that few rows use moves half way from the centre of an over-full code to one of its rows;
- prices that make much used codes dear (`drq_spark.train.prices`). Their weight falls from its start to what the dial
  of the codebook keeps: with the dial 0 unpriced iterations end the fit and no price is left; others settle on the
  finished codewords and are part of the tokenizer, by exposure where use is weighed so.

An iteration takes some of the rows, others every time, where there are more than enough of them; the last ones take
twice as many each, up to all. On 180,000 rows and K = 256 that is a quarter of the time for the same error of unseen
rows.

Random numbers come from one generator, so the same data, settings, device and threads give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import frexp

import torch
from torch import Tensor

from drq_spark.config import KMeans
from drq_spark.errors import InputRefused
from drq_spark.train.nearest import assign, sum_by_code, tiles
from drq_spark.train.prices import LAST_TEMPERATURE, UNBALANCED, Balance, Prices

_ROWS_PER_CODE = 128  # at least, of an iteration, where there are more
_ON_CODEWORD = 0.01  # of the mean squared distance: a row nearer than this to its codeword needs no other

Step = Callable[[int, int], None]


def require_rows(rows: int, codebook_sizes: Sequence[int]) -> None:
    """Refuse a fit with fewer rows than codes.

    Raises:
        InputRefused: rows < K at some level.
    """
    if rows < max(codebook_sizes):
        raise InputRefused(
            f"{rows} items to fit on are too few for {max(codebook_sizes)} codes: "
            "lower tokenizer.codes or sample.holdout, or bring more items"
        )


@dataclass(frozen=True)
class Codebook:
    """A fitted codebook, on the device of its rows.

    Attributes:
        codewords: float32 [K, d].
        price: float64 [K], mean 0, on the CPU, zeros for the dial 0.
        codes: int64 [n].
    """

    codewords: Tensor
    price: Tensor
    codes: Tensor


def fit_codebook(
    rows: Tensor, size: int, settings: KMeans, generator: torch.Generator, step: Step, balance: Balance = UNBALANCED
) -> Codebook:
    """Fit K = `size` codewords to rows.

    Args:
        rows: float32 [n >= K, d], scratch: centred and scaled in place, because float32 scores of rows far from the
            origin would lose the differences between them.
        size: K.
        settings: Iterations and restarts.
        generator: The only source of randomness, on the CPU.
        step: Called after each iteration with (done, total).
        balance: Prices that stay.

    Returns:
        The codebook in the coordinates that the rows had.

    Raises:
        InputRefused: n < K.
    """
    require_rows(len(rows), (size,))
    shift, scale = standardize(rows)
    start = rows[torch.randperm(len(rows), generator=generator)[:size].to(rows.device)]
    fitted = _Fit(rows, size, settings, generator, step, balance).run(start)
    return Codebook((fitted.codewords.double() * scale + shift).float(), fitted.price * scale**2, fitted.codes)


class _Fit:
    """The iterations of one fit on standardized rows."""

    def __init__(
        self, rows: Tensor, size: int, settings: KMeans, generator: torch.Generator, step: Step, balance: Balance
    ) -> None:
        self.rows, self.size, self.settings, self.generator, self.step = rows, size, settings, generator, step
        self.balance = balance
        self.prices, self.kept = Prices(rows, size, balance.use, generator), balance.weight(len(rows) / size)
        self.total = settings.start_iterations + settings.balance_iterations + settings.final_iterations

    def run(self, codewords: Tensor) -> Codebook:
        """Do all iterations from codewords float32 [K, d]: balance them, then settle them."""
        for done in range(self.settings.start_iterations):
            rows = self._part(done)
            codewords, _ = self._lloyd(rows, codewords, assign(rows, codewords), self.settings.restart_share)
            self.step(done + 1, self.total)
        codewords, price = self._balance(codewords)
        if self.balance.dial > 0:
            price = self.prices.settle(codewords, price, self.kept, self.settings.final_iterations)
            self.step(self.total, self.total)
        else:
            codewords, price = self._settle(codewords), torch.zeros_like(price)
        return Codebook(codewords, price, assign(self.rows, codewords, price))

    def _balance(self, codewords: Tensor) -> tuple[Tensor, Tensor]:
        """Priced iterations: the temperature falls geometrically, the weight of the prices linearly to what is kept."""
        count, kept = self.settings.balance_iterations, self.kept
        price = torch.zeros(len(codewords), dtype=torch.float64)
        for done in range(count):
            rows = self._part(self.settings.start_iterations + done)
            falling = max(self.settings.start_price - kept, 0.0) * (1 - done / count)
            temperature = LAST_TEMPERATURE ** (done / max(count - 1, 1))
            price = self.prices.step(codewords, price, kept + falling, temperature)
            # with the price that these codewords have now: under an older one a cheap code swallows its neighbours
            codes = assign(rows, codewords, price)
            codewords, restarted = self._lloyd(
                rows, codewords, codes, self.settings.restart_share if done < count // 2 else None
            )
            price[restarted] = 0.0  # the price of hardly any use would draw all rows of the new place
            self.step(self.settings.start_iterations + done + 1, self.total)
        return codewords, price

    def _settle(self, codewords: Tensor) -> Tensor:
        """Do plain iterations."""
        for done in range(self.total - self.settings.final_iterations, self.total):
            share = 0.0 if done < self.total - 1 else None  # an empty code is a loss to the very end
            rows = self._part(done)
            codewords, _ = self._lloyd(rows, codewords, assign(rows, codewords), share)
            self.step(done + 1, self.total)
        return codewords

    def _part(self, done: int) -> Tensor:
        """The rows of an iteration after `done` others: evenly spread ones, others every time.

        The last iteration that moves codewords has all rows, each before it half as many, as long as codes have enough.
        """
        rows, last = len(self.rows), self.total - 1 - (self.settings.final_iterations if self.balance.dial > 0 else 0)
        count = max(rows >> (last - done), min(rows, _ROWS_PER_CODE * self.size))
        if count == rows:
            return self.rows
        return self.rows[((torch.arange(count) * rows // count + done) % rows).to(self.rows.device)]

    def _lloyd(
        self, rows: Tensor, codewords: Tensor, codes: Tensor, restart_share: float | None
    ) -> tuple[Tensor, Tensor]:
        """Means of the assigned rows, and the codes that restarted, int64 on the CPU.

        A code without rows stays where it is unless codes restart.
        """
        sums, counts = sum_by_code(rows, codes, len(codewords))
        means = (sums / counts.clamp(min=1)[:, None]).float()
        moved = torch.where((counts > 0)[:, None], means, codewords)
        if restart_share is None:
            return moved, torch.empty(0, dtype=torch.int64)
        return self._restart(rows, moved, codes, counts.cpu(), restart_share)

    def _restart(
        self, rows: Tensor, codewords: Tensor, codes: Tensor, counts: Tensor, share: float
    ) -> tuple[Tensor, Tensor]:
        """Move codes of at most `share` of the mean count half way from an over-full code's centre to one of its rows.

        Rows are drawn in proportion to their code's excess over the mean count, times their squared distance to its
        centre. Rows that lie on their codeword, such as thousands of copies of one placeholder, need no second code
        and count neither for the mean nor for the excess.
        """
        if counts.min() > share * len(rows) / len(codewords):
            return codewords, torch.empty(0, dtype=torch.int64)
        square = _square_distance(rows, codewords, codes).cpu()
        off = square > _ON_CODEWORD * square.mean()
        off_counts = torch.bincount(codes.cpu()[off], minlength=len(codewords))
        mean = off_counts.sum() / len(codewords)
        poor = torch.nonzero(counts <= share * mean).flatten()
        excess = (off_counts - mean).clamp(min=0)[codes.cpu()]
        chosen = self._draw(excess * square * off, len(poor))
        centre = codewords[codes[chosen]]
        poor = poor[: len(chosen)]
        codewords[poor.to(codewords.device)] = 0.5 * (rows[chosen] + centre)
        return codewords, poor

    def _draw(self, weight: Tensor, draws: int) -> Tensor:
        """Row numbers int64 [draws] in proportion to float64 weights [n]; none where every weight is zero."""
        cumulated = weight.cumsum(0)
        if cumulated[-1] <= 0:
            return torch.empty(0, dtype=torch.int64, device=self.rows.device)
        target = torch.rand(draws, generator=self.generator, dtype=torch.float64) * cumulated[-1]
        return torch.searchsorted(cumulated, target, right=True).clamp(max=len(weight) - 1).to(self.rows.device)


def _square_distance(rows: Tensor, codewords: Tensor, codes: Tensor) -> Tensor:
    """||r - c||^2 of every row and its code, float64 [n], from differences: zero for a row on its codeword."""
    square = torch.empty(len(codes), dtype=torch.float64, device=codes.device)
    for tile in tiles(rows, len(codewords)):
        square[tile] = (rows[tile] - codewords[codes[tile]]).square_().sum(dim=1, dtype=torch.float64)
    return square


def standardize(rows: Tensor) -> tuple[Tensor, float]:
    """Centre and scale float32 [n, d] in place; returns what undoes it, float32 [d] and a power of two."""
    total = torch.zeros(rows.shape[1], dtype=torch.float64, device=rows.device)
    for tile in tiles(rows, 1):
        total += rows[tile].sum(dim=0, dtype=torch.float64)
    shift = (total / len(rows)).float()
    rows -= shift
    low, high = torch.aminmax(rows)
    scale = 2.0 ** frexp(float(torch.maximum(-low, high)))[1]
    rows /= scale
    return shift, scale
