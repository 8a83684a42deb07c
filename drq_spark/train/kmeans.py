"""One level of dataset-level k-means: Lloyd iterations from a balanced start, with or without prices that stay.

From random rows, Lloyd's algorithm ends with many codes on outliers and most rows on few codes. Two remedies:

- restarts: a code that few rows use moves half way from the centre of an over-full code to one of its rows;
- prices: rows choose argmin_k ||r - c_k||^2 + b_k, where b_k makes much used codes dear. The step is that of
  unbalanced entropic transport (Chizat et al. 2018, Scaling algorithms for unbalanced optimal transport problems):
  with s_k the soft use of a code at temperature T (1 is the mean), b <- w / (w + T) * (b + T ln s), whose fixed point
  is b = w ln s.

The weight w of the prices falls from its start to what the dial of the codebook keeps, w = u (1 + 16 / m) p / (1 - p)
with u the unit of price, m the rows a code and p the dial: 0 is plain k-means,
where unpriced iterations end the fit and no price is left; 1 is w = infinity, prices that make the use uniform.
Prices that stay are part of the tokenizer (capacity-constrained SIDs of UniRec): they settle on the finished codewords,
by exposure where use is weighed so.

u = exp(gamma + mean ln gap), gap that between the best and the second best cost and gamma Euler's constant: the mean of
gaps that are exponential. Of rows whose lengths differ by orders of magnitude the longest would make the plain mean,
and prices of that size drive the many short ones in one flock from code to code.

Scores are float32 GEMM tiles, sums of rows are float64. Random numbers come from one generator, and no sum depends on
the order of atomics, so the same data, settings, device and threads give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, frexp, inf

import torch
from torch import Tensor

from drq_spark.config import KMeans
from drq_spark.errors import InputRefused
from drq_spark.train.blocks import row_blocks

_TILE_ELEMENTS = 2**20  # scores, or numbers of a tile of rows, handled at a time
_GAP_ROWS = 2048  # rows that measure the unit of price
_LEAST_GAP = 1e-6  # of the mean gap: a row between two equal codewords has none
_EULER = 0.5772156649015329
SOFT_ROWS_PER_CODE = 64  # rows that measure soft use
_LAST_TEMPERATURE = 0.2  # of the priced iterations, in units of price; the first is 1
_FEW_ROWS = 16  # a code: as few double the weight of prices, for chance alone makes their use uneven
_ON_CODEWORD = 0.01  # of the mean squared distance: a row nearer than this to its codeword needs no other
_LEAST_USE = 1e-3  # keeps ln s finite for a code without any use

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
        codewords: float32 [K, d]. price: float64 [K], mean 0, on the CPU, zeros for the dial 0. codes: int64 [n].
    """

    codewords: Tensor
    price: Tensor
    codes: Tensor


@dataclass(frozen=True)
class Balance:
    """How even the use of the codes shall be.

    Attributes:
        dial: p of the module docstring, 0 to 1. use: float64 [n] on the CPU, what each row counts for in the use of its
        code (its exposure, say), or None for 1.
    """

    dial: float = 0.0
    use: Tensor | None = None

    def weight(self, rows_per_code: float) -> float:
        """w in units of price."""
        return self.dial / (1 - self.dial) * (1 + _FEW_ROWS / rows_per_code) if self.dial < 1 else inf


def fit_codebook(
    rows: Tensor, size: int, settings: KMeans, generator: torch.Generator, step: Step, balance: Balance = Balance()
) -> Codebook:
    """Fit K = `size` codewords to rows.

    Args:
        rows: float32 [n >= K, d], scratch: centred and scaled in place, because float32 scores of rows far from the
            origin would lose the differences between them.
        size: K.
        settings: iterations and restarts.
        generator: on the CPU; the only source of randomness.
        step: called after each iteration with (done, total).
        balance: prices that stay.

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
        self.rows, self.settings, self.generator, self.step = rows, settings, generator, step
        self.balance = balance
        self.prices = Prices(rows, size, balance.weight(len(rows) / size), balance.use, generator)
        self.total = settings.start_iterations + settings.balance_iterations + settings.final_iterations

    def run(self, codewords: Tensor) -> Codebook:
        """Start, balance, settle: from float32 [K, d]."""
        for done in range(self.settings.start_iterations):
            codewords, _ = self._lloyd(codewords, assign(self.rows, codewords), self.settings.restart_share)
            self.step(done + 1, self.total)
        codewords, price = self._balance(codewords)
        if self.balance.dial > 0:
            price = self.prices.settle(codewords, price, self.settings.final_iterations)
            self.step(self.total, self.total)
        else:
            codewords, price = self._settle(codewords), torch.zeros_like(price)
        return Codebook(codewords, price, assign(self.rows, codewords, price))

    def _balance(self, codewords: Tensor) -> tuple[Tensor, Tensor]:
        """Priced iterations: the temperature falls geometrically, the weight of the prices linearly to what is kept."""
        count, kept = self.settings.balance_iterations, self.prices.weight
        price = torch.zeros(len(codewords), dtype=torch.float64)
        for done in range(count):
            falling = max(self.settings.start_price - kept, 0.0) * (1 - done / count)
            temperature = _LAST_TEMPERATURE ** (done / max(count - 1, 1))
            price = self.prices.step(codewords, price, kept + falling, temperature)
            # with the price that these codewords have now: under an older one a cheap code swallows its neighbours
            codes = assign(self.rows, codewords, price)
            codewords, restarted = self._lloyd(
                codewords, codes, self.settings.restart_share if done < count // 2 else None
            )
            price[restarted] = 0.0  # the price of hardly any use would draw all rows of the new place
            self.step(self.settings.start_iterations + done + 1, self.total)
        return codewords, price

    def _settle(self, codewords: Tensor) -> Tensor:
        """Plain iterations."""
        for done in range(self.total - self.settings.final_iterations, self.total):
            share = 0.0 if done < self.total - 1 else None  # an empty code is a loss to the very end
            codewords, _ = self._lloyd(codewords, assign(self.rows, codewords), share)
            self.step(done + 1, self.total)
        return codewords

    def _lloyd(self, codewords: Tensor, codes: Tensor, restart_share: float | None) -> tuple[Tensor, Tensor]:
        """Means of the assigned rows, and the codes that restarted, int64 on the CPU.

        A code without rows stays where it is unless codes restart.
        """
        sums, counts = sum_by_code(self.rows, codes, len(codewords))
        means = (sums / counts.clamp(min=1)[:, None]).float()
        moved = torch.where((counts > 0)[:, None], means, codewords)
        if restart_share is None:
            return moved, torch.empty(0, dtype=torch.int64)
        return self._restart(moved, codes, counts.cpu(), restart_share)

    def _restart(self, codewords: Tensor, codes: Tensor, counts: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Move codes of at most `share` of the mean count half way from an over-full code's centre to one of its rows.

        Rows are drawn in proportion to their code's excess over the mean count, times their squared distance to its
        centre. Rows that lie on their codeword, such as thousands of copies of one placeholder, need no second code
        and count neither for the mean nor for the excess.
        """
        if counts.min() > share * len(self.rows) / len(codewords):
            return codewords, torch.empty(0, dtype=torch.int64)
        square = self._square_distance(codewords, codes).cpu()
        off = square > _ON_CODEWORD * square.mean()
        off_counts = torch.bincount(codes.cpu()[off], minlength=len(codewords))
        mean = off_counts.sum() / len(codewords)
        poor = torch.nonzero(counts <= share * mean).flatten()
        excess = (off_counts - mean).clamp(min=0)[codes.cpu()]
        chosen = self._draw(excess * square * off, len(poor))
        centre = codewords[codes[chosen]]
        poor = poor[: len(chosen)]
        codewords[poor.to(codewords.device)] = 0.5 * (self.rows[chosen] + centre)
        return codewords, poor

    def _draw(self, weight: Tensor, draws: int) -> Tensor:
        """Row numbers int64 [draws] in proportion to float64 weights [n]; none where every weight is zero."""
        cumulated = weight.cumsum(0)
        if cumulated[-1] <= 0:
            return torch.empty(0, dtype=torch.int64, device=self.rows.device)
        target = torch.rand(draws, generator=self.generator, dtype=torch.float64) * cumulated[-1]
        return torch.searchsorted(cumulated, target, right=True).clamp(max=len(weight) - 1).to(self.rows.device)

    def _square_distance(self, codewords: Tensor, codes: Tensor) -> Tensor:
        """||r - c||^2 of every row and its code, float64 [n], from differences: zero for a row on its codeword."""
        square = torch.empty(len(codes), dtype=torch.float64, device=codes.device)
        for tile in _tiles(self.rows, len(codewords)):
            square[tile] = (self.rows[tile] - codewords[codes[tile]]).square_().sum(dim=1, dtype=torch.float64)
        return square


class Prices:
    """Learns the prices of codewords from evenly spread rows: more than 64 a code do not change them."""

    def __init__(self, rows: Tensor, size: int, weight: float, use: Tensor | None, generator: torch.Generator) -> None:
        """Of K = `size` codewords and rows float32 [n, d]; `weight`: w in units of price. `use`: as in `Balance`."""
        stride = max(1, len(rows) // (SOFT_ROWS_PER_CODE * size))
        self.rows, self.use = rows[::stride], None if use is None else use[::stride]
        self.weight, self.generator = weight, generator

    def settle(self, codewords: Tensor, price: Tensor, steps: int) -> Tensor:
        """Prices float64 [K] of finished codewords."""
        for _ in range(steps):
            price = self.step(codewords, price, self.weight, _LAST_TEMPERATURE)
        return price

    def step(self, codewords: Tensor, price: Tensor, weight: float, temperature: float) -> Tensor:
        """One step of unbalanced transport, float64 [K]; weight and temperature are in units of price."""
        unit = self._unit(codewords, price)
        if unit <= 0 or weight <= 0:
            return torch.zeros_like(price)
        use = soft_use(self.rows, codewords, price, unit * temperature, self.use)
        return next_price(price, use, unit * weight, unit * temperature)

    def _unit(self, codewords: Tensor, price: Tensor) -> float:
        """u of the module docstring: what a price must weigh to matter."""
        chosen = torch.randint(len(self.rows), (_GAP_ROWS,), generator=self.generator).to(self.rows.device)
        scores = _scores(self.rows[chosen], codewords, _offset(codewords, price))
        two = scores.topk(2, dim=1, largest=False).values
        gap = (two[:, 1] - two[:, 0]).double()
        mean = float(gap.mean())
        return exp(float(gap.clamp(min=_LEAST_GAP * mean).log().mean()) + _EULER) if mean > 0 else 0.0


def next_price(price: Tensor, use: Tensor, weight: float, temperature: float) -> Tensor:
    """w / (w + T) * (b + T ln s), float64 [K] with mean zero; the module docstring has the meaning."""
    moved = (price + temperature * (use + _LEAST_USE).log()) / (1 + temperature / weight)
    return moved - moved.mean()


def soft_use(
    rows: Tensor, codewords: Tensor, price: Tensor, temperature: float, row_use: Tensor | None = None
) -> Tensor:
    """Soft use of the codes, float64 [K] with mean 1, on the CPU.

    The sum over rows of v_i softmax_k(-(||r - c_k||^2 + b_k) / T) with v = `row_use` (float64 [n] on the CPU, 1 without
    it); 1 everywhere where nothing is used.
    """
    size, offset = len(codewords), _offset(codewords, price)
    use = torch.zeros(size, dtype=torch.float64, device=rows.device)
    for tile in _tiles(rows, size):
        shared = torch.softmax(_scores(rows[tile], codewords, offset) / -temperature, dim=1)
        if row_use is not None:
            shared = shared * row_use[tile, None].to(shared.device)
        use += shared.sum(dim=0, dtype=torch.float64)
    use = use.cpu()
    return use * (size / use.sum()) if use.sum() > 0 else torch.ones_like(use)


def assign(rows: Tensor, codewords: Tensor, price: Tensor | None = None) -> Tensor:
    """argmin_k ||r - c_k||^2 + b_k: float32 [n, d], [K, d] -> int64 [n]."""
    codes, offset = torch.empty(len(rows), dtype=torch.int64, device=rows.device), _offset(codewords, price)
    for tile in _tiles(rows, len(codewords)):
        codes[tile] = _scores(rows[tile], codewords, offset).argmin(dim=1)
    return codes


def sum_by_code(rows: Tensor, codes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Sums float64 [K, d] and counts int64 [K] of the rows of each code."""
    sums = torch.zeros(size, rows.shape[1], dtype=torch.float64, device=rows.device)
    add = _add_in_order if rows.device.type == "cpu" else _add_by_product
    for tile in _tiles(rows, size):
        add(sums, codes[tile], rows[tile].double())
    return sums, torch.bincount(codes, minlength=size)


def _add_in_order(sums: Tensor, codes: Tensor, rows: Tensor) -> None:
    """Row after row, as the CPU does it."""
    sums.index_add_(0, codes, rows)


def _add_by_product(sums: Tensor, codes: Tensor, rows: Tensor) -> None:
    """As a product with the one-hot codes: on a GPU the order of index_add_ changes from run to run."""
    one_hot = torch.zeros(len(rows), len(sums), dtype=rows.dtype, device=rows.device)
    sums.addmm_(one_hot.scatter_(1, codes[:, None], 1.0).T, rows)


def standardize(rows: Tensor) -> tuple[Tensor, float]:
    """Centre and scale float32 [n, d] in place; returns what undoes it, float32 [d] and a power of two."""
    total = torch.zeros(rows.shape[1], dtype=torch.float64, device=rows.device)
    for tile in _tiles(rows, 1):
        total += rows[tile].sum(dim=0, dtype=torch.float64)
    shift = (total / len(rows)).float()
    rows -= shift
    low, high = torch.aminmax(rows)
    scale = 2.0 ** frexp(float(torch.maximum(-low, high)))[1]
    rows /= scale
    return shift, scale


def _tiles(rows: Tensor, size: int) -> Iterator[slice]:
    """Blocks of rows [n, d] small enough that neither their copy nor their scores against K codes are large."""
    return row_blocks(len(rows), max(rows.shape[1], size), _TILE_ELEMENTS)


def _offset(codewords: Tensor, price: Tensor | None = None) -> Tensor:
    """||c_k||^2 + b_k, float32 [K]."""
    square = codewords.double().square().sum(dim=1)
    return (square if price is None else square + price.to(square.device)).float()


def _scores(rows: Tensor, codewords: Tensor, offset: Tensor) -> Tensor:
    """||c_k||^2 + b_k - 2 r.c_k, float32 [n, K]: the cost without the row's own ||r||^2."""
    return torch.addmm(offset, rows, codewords.T, alpha=-2)
