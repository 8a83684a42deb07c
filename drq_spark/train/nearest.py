"""Rows against codewords, in tiles: the cheapest code of each row, and what the rows of each code sum to.

Scores are float32 GEMM tiles, sums of rows are float64, and no sum depends on the order of atomics: the same rows,
device and threads give the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from drq_spark.blocks import row_blocks
from drq_spark.train.tile_threads import in_tiles

_TILE_ELEMENTS = 2**20  # scores, or numbers of a tile of rows, handled at a time


def assign(rows: Tensor, codewords: Tensor, price: Tensor | None = None) -> Tensor:
    """argmin_k ||r - c_k||^2 + b_k: float32 [n, d], [K, d] -> int64 [n]."""
    codes, added = torch.empty(len(rows), dtype=torch.int64, device=rows.device), offset(codewords, price)

    def decide(tile: slice) -> None:
        codes[tile] = lowest(scores(rows[tile], codewords, added), 1)[1][:, 0]

    for _ in in_tiles(decide, tiles(rows, len(codewords)), rows.device):
        pass
    return codes


def sum_by_code(rows: Tensor, codes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Sums float64 [K, d] and counts int64 [K] of the rows of each code."""
    sums = torch.zeros(size, rows.shape[1], dtype=torch.float64, device=rows.device)
    add = _add_in_order if rows.device.type == "cpu" else _add_by_product
    for tile in tiles(rows, size):
        add(sums, codes[tile], rows[tile].double())
    return sums, torch.bincount(codes, minlength=size)


def _add_in_order(sums: Tensor, codes: Tensor, rows: Tensor) -> None:
    """Add row after row, as the CPU does."""
    sums.index_add_(0, codes, rows)


def _add_by_product(sums: Tensor, codes: Tensor, rows: Tensor) -> None:
    """Add by a product with the one-hot codes: on a GPU the order of index_add_ changes from run to run."""
    one_hot = torch.zeros(len(rows), len(sums), dtype=rows.dtype, device=rows.device)
    sums.addmm_(one_hot.scatter_(1, codes[:, None], 1.0).T, rows)


def tiles(rows: Tensor, size: int) -> Iterator[slice]:
    """Blocks of rows [n, d] small enough that neither their copy nor their scores against K codes are large."""
    return row_blocks(len(rows), max(rows.shape[1], size), _TILE_ELEMENTS)


def offset(codewords: Tensor, price: Tensor | None = None) -> Tensor:
    """||c_k||^2 + b_k, float32 [K]."""
    square = codewords.double().square().sum(dim=1)
    return (square if price is None else square + price.to(square.device)).float()


def scores(rows: Tensor, codewords: Tensor, added: Tensor) -> Tensor:
    """||c_k||^2 + b_k - 2 r.c_k, float32 [n, K]: the cost without the row's own ||r||^2."""
    return product(rows, (-2 * codewords).T).add_(added)


def product(rows: Tensor, columns: Tensor) -> Tensor:
    """rows @ columns, float32 [n, d], [d, K] -> [n, K].

    On the CPU by numpy: its OpenBLAS takes the widest vectors of every processor, where torch's MKL takes those of
    Intel's only. On an AMD processor with AVX-512 it is 2.4 times as fast, elsewhere as fast.
    """
    if rows.device.type != "cpu":
        return torch.mm(rows, columns)
    return torch.from_numpy(rows.numpy() @ columns.numpy())


def lowest(costs: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The `keep` <= m lowest of each row of float32 [n, m], lowest first, and their columns int64: [n, keep] each.

    The costs are scratch. On the CPU numpy finds each in turn, many times faster than torch's topk of two or four.
    """
    if costs.device.type != "cpu":
        return costs.topk(keep, dim=1, largest=False)
    values, column = torch.empty(len(costs), keep), torch.empty(len(costs), keep, dtype=torch.int64)
    for place in range(keep):
        column[:, place] = torch.from_numpy(costs.numpy().argmin(axis=1))
        found = column[:, place, None]
        values[:, place] = costs.gather(1, found)[:, 0]
        costs.scatter_(1, found, torch.inf)
    return values, column
