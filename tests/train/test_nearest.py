"""Codes and sums of rows against slow, obvious references."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from train.exact import whole_numbers

from drq_spark.train import nearest
from drq_spark.train.nearest import assign, product, sum_by_code


def slow_codes(rows: Tensor, codewords: Tensor, price: Tensor) -> list[int]:
    codes = []
    for row in rows.double().numpy():
        costs = [((row - c) ** 2).sum() + float(b) for c, b in zip(codewords.double().numpy(), price, strict=True)]
        codes.append(min(range(len(costs)), key=lambda k: (costs[k], k)))
    return codes


@pytest.mark.parametrize("tile", [1, 64, 2**20])
def test_assignment_equals_the_slow_one(monkeypatch: pytest.MonkeyPatch, tile: int) -> None:
    monkeypatch.setattr(nearest, "_TILE_ELEMENTS", tile)
    rows, codewords = whole_numbers(300, 3), whole_numbers(20, 3, seed=1)
    assert assign(rows, codewords).tolist() == slow_codes(rows, codewords, torch.zeros(20))
    price = torch.arange(20, dtype=torch.float64) - 10
    assert assign(rows, codewords, price).tolist() == slow_codes(rows, codewords, price)


@pytest.mark.parametrize("add", [nearest._add_in_order, nearest._add_by_product])
def test_sums_equal_the_slow_ones(monkeypatch: pytest.MonkeyPatch, add: object) -> None:
    """Both ways to add, the CPU's and the GPU's, in tiles of 5 rows."""
    monkeypatch.setattr(nearest, "_add_in_order", add)
    monkeypatch.setattr(nearest, "_TILE_ELEMENTS", 50)
    rows, codes = (
        whole_numbers(333, 4, high=1000),
        torch.randint(10, (333,), generator=torch.Generator().manual_seed(2)),
    )
    sums, counts = sum_by_code(rows, codes, 11)
    for k in range(11):
        mine = [row for row, code in zip(rows.tolist(), codes.tolist(), strict=True) if code == k]
        assert counts[k] == len(mine)
        assert sums[k].tolist() == [sum(row[i] for row in mine) for i in range(4)]
    assert sums.dtype == torch.float64


def test_means_are_taken_in_float64() -> None:
    """16,777,216 + 1 + 1 is 16,777,218; adding in float32 would lose both ones."""
    rows = torch.tensor([[2.0**24], [1.0], [1.0]])
    sums, _ = sum_by_code(rows, torch.zeros(3, dtype=torch.int64), 2)
    assert sums[0, 0] == 2**24 + 2


def test_products_are_those_of_numbers() -> None:
    rows, columns = whole_numbers(7, 5), whole_numbers(5, 3, seed=1)
    for right in (columns, whole_numbers(3, 5, seed=1).T):  # whatever lies in a row in memory
        pairs = [[(row, column) for column in right.T.tolist()] for row in rows.tolist()]
        slow = [[sum(a * b for a, b in zip(*pair, strict=True)) for pair in line] for line in pairs]
        made = product(rows, right)
        assert made.dtype == torch.float32
        assert made.tolist() == slow
