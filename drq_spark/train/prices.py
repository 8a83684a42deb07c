"""Prices of codes: what evens out their use, and stays with the tokenizer.

Rows choose argmin_k ||r - c_k||^2 + b_k, where b_k makes much used codes dear (capacity-constrained SIDs of UniRec).
The step is that of unbalanced entropic transport (Chizat et al. 2018, Scaling algorithms for unbalanced optimal
transport problems): with s_k the soft use of a code at temperature T (1 is the mean), b <- w / (w + T) * (b + T ln s),
whose fixed point is b = w ln s.

What the dial p of a codebook keeps is w = u (1 + 8 / m) p / (1 - p) with u the unit of price and m the rows a code: 0
is no price, 1 is w = infinity, prices that make the use uniform.

u = exp(gamma + mean ln gap), with gap the distance from the best to the second best cost, gamma Euler's constant: the
mean of gaps that are exponential. Of rows whose lengths differ by orders of magnitude the longest would make the plain
mean, and prices of that size drive the many short ones in one flock from code to code.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf

import torch
from torch import Tensor

from drq_spark.train.nearest import lowest, offset, scores, tiles
from drq_spark.train.tile_threads import in_tiles

SOFT_ROWS_PER_CODE = 64  # rows that measure soft use
LAST_TEMPERATURE = 0.2  # of priced iterations, in units of price; the first is 1
_GAP_ROWS = 1024  # rows that measure the unit of price, to 4 %
_LEAST_GAP = 1e-6  # of the mean gap: a row between two equal codewords has none
_EULER = 0.5772156649015329
_FEW_ROWS = 8  # a code: as few double the weight of prices, for chance alone makes their use uneven
_LEAST_USE = 1e-3  # keeps ln s finite for a code without any use


@dataclass(frozen=True)
class Balance:
    """How even the use of the codes shall be.

    Attributes:
        dial: p of the module docstring, 0 to 1.
        use: float64 [n] on the CPU, what each row counts for in the use of its code (its exposure, say), or None for 1.
    """

    dial: float = 0.0
    use: Tensor | None = None

    def weight(self, rows_per_code: float) -> float:
        """w in units of price, of a code with that many rows on average."""
        return self.dial / (1 - self.dial) * (1 + _FEW_ROWS / rows_per_code) if self.dial < 1 else inf


UNBALANCED = Balance()


class Prices:
    """Learns the prices of codewords from evenly spread rows: more than 64 a code do not change them."""

    def __init__(self, rows: Tensor, size: int, use: Tensor | None, generator: torch.Generator) -> None:
        """Prices of K = `size` codewords from rows float32 [n, d]; `use` is as in `Balance`."""
        stride = max(1, len(rows) // (SOFT_ROWS_PER_CODE * size))
        self.rows, self.use = rows[::stride], None if use is None else use[::stride]
        self.generator = generator

    def settle(self, codewords: Tensor, price: Tensor, weight: float, steps: int) -> Tensor:
        """Prices float64 [K] of finished codewords, after steps at the temperature that iterations end with."""
        for _ in range(steps):
            price = self.step(codewords, price, weight, LAST_TEMPERATURE)
        return price

    def step(self, codewords: Tensor, price: Tensor, weight: float, temperature: float) -> Tensor:
        """One step of unbalanced transport, float64 [K]; weight w and temperature T are in units of price."""
        unit = self._unit(codewords, price)
        if unit <= 0 or weight <= 0:
            return torch.zeros_like(price)
        use = soft_use(self.rows, codewords, price, unit * temperature, self.use)
        return next_price(price, use, unit * weight, unit * temperature)

    def _unit(self, codewords: Tensor, price: Tensor) -> float:
        """u of the module docstring: what a price must weigh to matter."""
        chosen = torch.randint(len(self.rows), (_GAP_ROWS,), generator=self.generator).to(self.rows.device)
        two, _ = lowest(scores(self.rows[chosen], codewords, offset(codewords, price)), 2)
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
    size, added = len(codewords), offset(codewords, price)
    use = torch.zeros(size, dtype=torch.float64, device=rows.device)

    def used(tile: slice) -> Tensor:
        shared = torch.softmax(scores(rows[tile], codewords, added).div_(-temperature), dim=1)
        if row_use is not None:
            shared.mul_(row_use[tile, None].to(shared.device))
        return shared.sum(dim=0)  # a tile is short enough for float32

    for part in in_tiles(used, tiles(rows, size), rows.device):
        use += part
    use = use.cpu()
    return use * (size / use.sum()) if use.sum() > 0 else torch.ones_like(use)
