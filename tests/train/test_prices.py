"""The price step, the use it looks at and its weight, against what theory says and a slow reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from train.exact import whole_numbers

from drq_spark.train import nearest
from drq_spark.train.prices import Balance, Prices, next_price, soft_use


def unit_of(rows: torch.Tensor, codewords: torch.Tensor, price: torch.Tensor) -> float:
    """The unit of price, all rows taken."""
    return Prices(rows, len(rows), None, torch.Generator().manual_seed(0))._unit(codewords, price)


@pytest.mark.parametrize("tile", [1, 64, 2**20])
def test_soft_use_equals_the_slow_one(monkeypatch: pytest.MonkeyPatch, tile: int) -> None:
    monkeypatch.setattr(nearest, "_TILE_ELEMENTS", tile)
    rows, codewords, price = whole_numbers(200, 3), whole_numbers(9, 3, seed=1), torch.arange(9, dtype=torch.float64)
    expected = np.zeros(9)
    for row in rows.double().numpy():
        cost = np.square(row - codewords.double().numpy()).sum(axis=1) + price.numpy()
        weight = np.exp(-(cost - cost.min()) / 2.5)
        expected += weight / weight.sum()
    assert soft_use(rows, codewords, price, 2.5).numpy() == pytest.approx(expected * 9 / 200, rel=1e-5)


def test_few_rows_a_code_weigh_prices_more() -> None:
    balance = Balance(0.5)
    assert [balance.weight(rows) for rows in (2, 8, 1e12)] == pytest.approx([5, 2, 1])
    assert (Balance(0.0).weight(8), Balance(1.0).weight(8)) == (0.0, float("inf"))


def test_the_price_step_ends_where_theory_says() -> None:
    """b = w ln s up to a constant, at the temperature and the use that it has then."""
    price, use = torch.zeros(4, dtype=torch.float64), torch.tensor([0.1, 0.5, 1.4, 2.0], dtype=torch.float64)
    for _ in range(500):
        price = next_price(price, use, 3.0, 0.5)
    expected = 3.0 * (use + 1e-3).log()
    assert torch.allclose(price, expected - expected.mean())


def test_the_unit_is_the_mean_of_exponential_gaps() -> None:
    """Codewords 0 and 2: a row r has the gap |4 - 4r|; rows at 0.5 and 0.9 have 2 and 0.4, of geometric mean .894."""
    codewords, no_price = torch.tensor([[0.0], [2.0]]), torch.zeros(2, dtype=torch.float64)
    rows = torch.tensor([[0.5], [0.9]]).repeat(4096, 1)
    unit = unit_of(rows, codewords, no_price)
    assert unit == pytest.approx(np.exp(np.euler_gamma) * np.sqrt(2 * 0.4), rel=0.05)  # 1024 rows are drawn
    assert unit_of(rows, torch.tensor([[1.0], [1.0]]), no_price) == 0, "no gap"


def test_a_few_long_rows_do_not_make_the_unit() -> None:
    """One row of a hundred is a thousand times as long: the plain mean gap would be twenty times as large."""
    codewords = torch.tensor([[0.0], [2.0]])
    rows = torch.tensor([[0.5]]).repeat(10_000, 1)
    some = rows.clone()
    some[::100] = -1000.0
    free = torch.zeros(2, dtype=torch.float64)
    assert unit_of(some, codewords, free) == pytest.approx(unit_of(rows, codewords, free), rel=0.2)


def test_settled_prices_are_the_fixed_point() -> None:
    """b = w ln s, with s the use under these prices."""
    rows = torch.randn(4096, 2, generator=torch.Generator().manual_seed(1)).pow(3)
    codewords = rows[:8].clone()
    prices = Prices(rows, 8, None, torch.Generator().manual_seed(0))
    weight, settled = 0.7, prices.settle(codewords, torch.zeros(8, dtype=torch.float64), 0.7, 400)
    unit = prices._unit(codewords, settled)
    expected = unit * weight * (soft_use(prices.rows, codewords, settled, 0.2 * unit) + 1e-3).log()
    assert torch.allclose(settled, expected - expected.mean(), rtol=0.1, atol=0.1 * unit)
    assert not torch.allclose(settled, torch.zeros(8, dtype=torch.float64), atol=0.3 * unit)
