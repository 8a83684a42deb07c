"""Joint refinement of residual codebooks on the codes of a beam, in torch and float32.

Books that were fitted level by level are the best for a greedy encoding of the levels before. A beam chooses other
paths, so all books are solved again, together, on its codes: one round is (encode by beam, joint least squares towards
the books, prices settled on the new books). The search is that of `drq_spark.tokenizer.beam` without its certificate:
here codes only fit books; the codes that count come from the frozen tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drq_spark.train.blocks import row_blocks
from drq_spark.train.kmeans import SOFT_ROWS_PER_CODE, Balance, Prices, assign
from drq_spark.train.tables import joint_least_squares

_TILE_ELEMENTS = 2**22  # scores of a tile of rows
_TEMPERATURES = (1.0, 0.875, 0.75, 0.625)  # of the price steps of a round; colder ones cost unseen items more
I32 = NDArray[np.int32]


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
    rounds: int,
    balance: Balance,
    generator: torch.Generator,
    step: Callable[[int, int], None],
) -> list[Layer]:
    """Rounds of encoding and solving.

    Args:
        rows: float32 [n, d], latents about their mean.
        layers: the books in the coordinates of `rows`.
        width: of the beam. rounds: how many.
        balance: as the prices were learned; a few steps, from hot to warm, settle them again.
        generator: on the CPU. step: called after each round with (done, total).
    """
    refined = list(layers)
    for done in range(rounds):
        solved = joint_least_squares(
            rows.cpu().numpy(), beam_codes(rows, refined, width), [layer.codewords.cpu().numpy() for layer in refined]
        )
        refined = [
            replace(layer, codewords=torch.from_numpy(book).to(rows.device))
            for layer, book in zip(refined, solved, strict=True)
        ]
        if balance.dial > 0:
            refined = _settled(rows, refined, balance, generator)
        step(done + 1, rounds)
    return refined


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
        cost = _costs(residual, layer, price) + paid[:, :, None]
        keep = 1 if index == len(layers) - 1 else min(width, cost[0].numel())
        best = cost.view(count, -1).topk(keep, dim=1, largest=False).indices
        parent, code = best // len(layer.codewords), best % len(layer.codewords)
        paid = paid[row, parent] + price[code]
        residual = residual[row, parent] - layer.codewords[code]
        codes = torch.cat([codes[row, parent], code[:, :, None]], dim=2)
    return codes[:, 0]


def _costs(residual: Tensor, layer: Layer, price: Tensor) -> Tensor:
    """||w (r - c_k)||^2 + b_k: [n, P, d] -> [n, P, K]."""
    weighed = residual if layer.weight is None else residual * layer.weight
    words = layer.codewords if layer.weight is None else layer.codewords * layer.weight
    square = weighed.square().sum(dim=2)[:, :, None]
    return square + ((words.square().sum(dim=1) + price) - 2 * weighed @ words.T)


def _settled(
    rows: Tensor, layers: Sequence[Layer], balance: Balance, generator: torch.Generator
) -> list[Layer]:
    """The layers with prices settled on what the greedy encoding of the levels before leaves of some of the rows."""
    stride = max(1, len(rows) // (SOFT_ROWS_PER_CODE * max(len(layer.codewords) for layer in layers)))
    settled, residual = [], rows[::stride]
    use = None if balance.use is None else balance.use[::stride]
    for layer in layers:
        weighed = residual if layer.weight is None else residual * layer.weight
        words = layer.codewords if layer.weight is None else layer.codewords * layer.weight
        weight = balance.weight(len(rows) / len(words))
        price = Prices(weighed, len(words), weight, use, generator).settle(words, layer.price, _TEMPERATURES)
        residual = residual - layer.codewords[assign(weighed, words, price)]
        settled.append(replace(layer, price=price))
    return settled
