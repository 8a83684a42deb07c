"""The codes that a beam finds, in torch and float32: for fits only, without the certificate of the frozen tokenizer.

The search is that of `drq_spark.tokenizer.beam`, but no path has a residual. With G = W^2 c of a codeword of the level,

    ||W (z - sum_j c^j)||^2 = ||W z||^2 - 2 z.G^l + ||W c^l||^2 + 2 sum_{j < l} c^j.G^l + (what the path cost before),

so one product of the rows with each book serves all paths, and what codewords have in common is looked up. Where the
metric changes from level to level, what the path cost before is corrected on the coordinates whose weights differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from drq_spark.arrays import I32
from drq_spark.blocks import row_blocks
from drq_spark.train.nearest import lowest, product
from drq_spark.train.tile_threads import in_tiles

_TILE_ELEMENTS = 2**19  # costs of a tile of rows stay within the cache


@dataclass(frozen=True)
class Layer:
    """One level: codewords float32 [K, d], price float64 [K] on the CPU, weight float32 [d] or None for ones."""

    codewords: Tensor
    price: Tensor
    weight: Tensor | None


def beam_codes(rows: Tensor, layers: Sequence[Layer], width: int) -> I32:
    """Codes int32 [n, L] of the cheapest path of each row of float32 [n, d] under a beam of `width` >= 1."""
    codes = np.empty((len(rows), len(layers)), np.int32)
    books = [_Book.of(layers[: level + 1], rows.device) for level in range(len(layers))]
    widest = max(rows.shape[1], width * max(len(layer.codewords) for layer in layers))

    def search(tile: slice) -> None:
        codes[tile] = _search(rows[tile], books, width).cpu().numpy()

    for _ in in_tiles(search, row_blocks(len(rows), widest, _TILE_ELEMENTS), rows.device):
        pass
    return codes


@dataclass(frozen=True)
class _Book:
    """A level made ready for the search.

    Attributes:
        codewords: float32 [K, d].
        product: -2 G of the module docstring, float32 [d, K].
        offset: ||W c||^2 + b, float32 [K].
        common: 2 c^j.G of the codewords of each level before, float32 [K_j, K].
        changed: Coordinates whose weights are not those of the level before, int64 [m].
        change: By how much their squares differ, float32 [m].
    """

    codewords: Tensor
    product: Tensor
    offset: Tensor
    common: list[Tensor]
    changed: Tensor
    change: Tensor

    @classmethod
    def of(cls, layers: Sequence[Layer], device: torch.device) -> _Book:
        """The last of some layers, after the others."""
        *before, layer = layers
        words, metric = layer.codewords, _square(layer, device)
        grown = words * metric
        change = metric - (_square(before[-1], device) if before else metric)
        changed = torch.nonzero(change).flatten()
        return cls(
            codewords=words,
            product=(-2 * grown).T,
            offset=((words.double() * grown.double()).sum(dim=1) + layer.price.to(device)).float(),
            common=[2 * other.codewords @ grown.T for other in before],
            changed=changed,
            change=change[changed],
        )


def _square(layer: Layer, device: torch.device) -> Tensor:
    """W^2 of a level, float32 [d]."""
    dim = layer.codewords.shape[1]
    return torch.ones(dim, device=device) if layer.weight is None else layer.weight.square()


def _search(rows: Tensor, books: Sequence[_Book], width: int) -> Tensor:
    """Codes int64 [n, L] of a tile."""
    codes = torch.zeros(len(rows), 1, 0, dtype=torch.int64, device=rows.device)
    total = torch.zeros(len(rows), 1, device=rows.device)
    for level, book in enumerate(books):
        total = total + _corrected(rows, books[:level], book, codes)
        cost = product(rows, book.product).add_(book.offset)[:, None] + total[:, :, None]
        for before, common in enumerate(book.common):
            cost += common[codes[:, :, before]]
        flat = cost.view(len(rows), -1)
        keep = 1 if level == len(books) - 1 else min(width, flat.shape[1])
        total, best = lowest(flat, keep)
        parent, code = best // len(book.offset), best % len(book.offset)
        history = codes.gather(1, parent[:, :, None].expand(-1, -1, level))
        codes = torch.cat([history, code[:, :, None]], dim=2)
    return codes[:, 0]


def _corrected(rows: Tensor, before: Sequence[_Book], book: _Book, codes: Tensor) -> Tensor:
    """What a change of the metric adds to the costs of paths, up to a number per row: float32 [n, P]."""
    if not len(book.changed):
        return torch.zeros(codes.shape[:2], device=rows.device)
    left = rows[:, None, book.changed]
    for level, other in enumerate(before):
        left = left - other.codewords[:, book.changed][codes[:, :, level]]
    return left.square_() @ book.change
