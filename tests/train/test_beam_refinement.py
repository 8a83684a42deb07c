"""Joint refinement on the codes of a beam: what a round takes, its noise, and what it is for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

import drq_spark
from drq_spark.arrays import I32
from drq_spark.config import KMeans
from drq_spark.formulas.usage import perplexity
from drq_spark.train import beam_refinement as beam
from drq_spark.train.beam_codes import Layer, beam_codes
from drq_spark.train.beam_refinement import refine, rounds_of
from drq_spark.train.prices import Balance, Prices

CATALOGUE = Path(drq_spark.__file__).parent / "data" / "packages_5k"


def matrix(count: int, dim: int, seed: int) -> Tensor:
    """Correlated rows about 0."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, dim)) @ np.random.default_rng(0).normal(size=(dim, dim))
    return torch.from_numpy((mixed - mixed.mean(axis=0)).astype(np.float32))


def embeddings() -> Tensor:
    """Of the bundled catalogue, about their mean."""
    table = pq.read_table(CATALOGUE / "items.parquet", columns=["embedding"])
    values = table["embedding"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    return torch.from_numpy((values - values.mean(axis=0)).astype(np.float32))


def books(sizes: Sequence[int], dim: int, seed: int, scale: float = 1.0) -> list[Layer]:
    words = [scale * matrix(size, dim, seed + 10 + level) / 2**level for level, size in enumerate(sizes)]
    return [Layer(book, torch.zeros(len(book), dtype=torch.float64), None) for book in words]


def refined(rows: Tensor, layers: Sequence[Layer], dial: float = 0.0, **settings: Any) -> list[Layer]:
    generator = torch.Generator().manual_seed(0)
    return refine(rows, layers, 3, KMeans(**settings), Balance(dial), generator, lambda done, total: None)


def relative_error(rows: Tensor, layers: Sequence[Layer]) -> float:
    codes = torch.from_numpy(beam_codes(rows, layers, 3)).long()
    left = rows - sum(layer.codewords[codes[:, level]] for level, layer in enumerate(layers))
    return float(left.square().sum() / rows.square().sum())


def test_noise_leads_to_better_books_than_rounds_alone() -> None:
    """Real embeddings, the rows of the fit and others. (Of Gaussians there is nothing to gain.)"""
    rows = embeddings()
    fit, other = rows[:2000], rows[2000:3000]
    start = books((32, 32, 32), fit.shape[1], 0, scale=float(fit.std()) / 8)
    noisy, plain = (refined(fit, start, beam_rounds=32, beam_noise=noise) for noise in (0.7, 0.0))
    assert relative_error(fit, noisy) < 0.99 * relative_error(fit, plain)
    assert relative_error(other, noisy) < 0.99 * relative_error(other, plain)


@pytest.mark.parametrize(("noisy_rounds", "plain_rounds"), [(8, 2), (3, 1)])
def test_noise_that_leads_astray_is_left_out(noisy_rounds: int, plain_rounds: int) -> None:
    """Far too much of it: the books are those of the rounds without noise, a quarter of them and at least one."""
    rows, start = matrix(500, 3, 1), books((8, 8), 3, 0)
    astray = refined(rows, start, beam_rounds=noisy_rounds, beam_noise=100.0)
    plain = refined(rows, start, beam_rounds=plain_rounds, beam_noise=0.0)
    assert all(torch.equal(a.codewords, b.codewords) for a, b in zip(astray, plain, strict=True))


def test_what_each_round_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 rows a codeword, others every time, then twice as many in each round; the last all, and the whole beam."""
    taken: list[tuple[Tensor, int, float]] = []
    searched: list[tuple[Tensor, int]] = []
    real = beam._solved

    def spy(rows: Tensor, codes: I32, layers: Sequence[Layer], noise: float, generator: torch.Generator) -> list[Layer]:
        taken.append((rows[:, 0].clone(), searched[-1][1], noise))
        return real(rows, codes, layers, noise, generator)

    def search(rows: Tensor, layers: Sequence[Layer], width: int) -> I32:
        searched.append((rows[:, 0].clone(), width))
        return beam_codes(rows, layers, width)

    monkeypatch.setattr(beam, "_solved", spy)
    monkeypatch.setattr(beam, "beam_codes", search)
    rows = matrix(16 * 10 * 5, 4, 3)  # a stride of 5
    rows[:, 0] = torch.arange(len(rows)) - (len(rows) - 1) / 2
    told: list[tuple[int, int]] = []
    settings = KMeans(beam_rounds=8, beam_noise=0.8)
    generator = torch.Generator()
    refine(rows, books((6, 4), 4, 0), 3, settings, Balance(), generator, lambda done, total: told.append((done, total)))
    assert [len(part) for part, _, _ in taken] == [160] * (2 + 8) + [200, 400, 800]
    assert [width for _, width, _ in taken] == [2] * 12 + [3]
    noises = [noise for _, _, noise in taken]
    assert np.allclose(noises, [0.0] * 2 + [0.8 * (left / 8) ** 0.5 for left in range(7, -1, -1)] + [0.0] * 3)
    assert len(torch.cat([part for part, _, _ in taken[2:7]]).unique()) == len(rows), "others every time"
    judging = {tuple(part.tolist()) for part, _ in searched[10:12]}
    ending = {tuple(taken[last][0].tolist()) for last in (1, 9)}
    assert len(judging) == len(ending) == 1, "the same for both"
    assert not set(*judging) & set(*ending), "what the last round took would flatter"
    assert told == [(done, 13) for done in range(1, 14)]


@pytest.mark.parametrize(
    ("rows", "words", "most", "rounds"),
    [
        (1_000_000, 3 * 1024, 64, 64),
        (1_000_000, 3 * 1024, 10, 10),
        (5_000, 3 * 256, 64, 11),  # 6.5 rows a codeword
        (20_000, 3 * 256, 64, 64),  # 26
        (1_000_000, 3 * 4096, 64, 16),  # cost
        (1_000_000, 8 * 8192, 64, 4),
        (700, 3 * 256, 64, 4),
        (700, 3 * 256, 2, 2),
        (5_000, 3 * 256, 0, 0),
    ],
)
def test_few_rows_a_codeword_and_very_many_codewords_take_fewer_rounds(
    rows: int, words: int, most: int, rounds: int
) -> None:
    assert rounds_of(rows, words, KMeans(beam_rounds=most)) == rounds


def test_the_error_left_is_that_of_the_difference() -> None:
    rows, layers = matrix(50, 3, 0), books((5, 4), 3, 0)
    codes = beam_codes(rows, layers, 3)
    words = sum(layer.codewords.numpy()[codes[:, level]] for level, layer in enumerate(layers))
    expected = np.sqrt(np.square(rows.numpy() - words).mean(axis=0))
    assert np.allclose(beam.left_rms(rows, [layer.codewords for layer in layers], codes), expected, rtol=1e-5)


def test_the_spread_is_that_of_the_codewords_by_use() -> None:
    book, codes = matrix(5, 3, 0), np.array([0, 0, 0, 1, 3, 3, 4], np.int32)
    expected = book.numpy()[codes].astype(np.float64).std(axis=0)
    assert np.allclose(beam._spread(book, codes), expected, rtol=1e-6)


@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_a_coordinate_in_which_nothing_differs_stays(noise: float) -> None:
    rows = matrix(200, 4, 0)
    rows[:, 2] = 0
    start = books((5, 4), 4, 0)
    for layer in start:
        layer.codewords[:, 2] = 0
    assert all((layer.codewords[:, 2] == 0).all() for layer in refined(rows, start, beam_noise=noise))


def test_rounds_with_prices_keep_the_use_even() -> None:
    """Real embeddings, from books that were fitted to nothing and leave most codes without rows."""
    rows = embeddings()[:2000]
    start = books((32, 32), rows.shape[1], 0, scale=float(rows.std()) / 8)

    def used(dial: float) -> list[float]:
        codes = beam_codes(rows, refined(rows, start, dial), 3)
        return [perplexity(np.bincount(level, minlength=32)) / 32 for level in codes.T]

    assert all(priced > 1.5 * plain for priced, plain in zip(used(0.6), used(0.0), strict=True))


def test_no_rounds_leave_the_books() -> None:
    start = books((5, 4), 4, 0)
    assert refined(matrix(50, 4, 0), start, beam_rounds=0) == start


@pytest.mark.parametrize(("by_exposure", "of_each"), [(False, [16 * 8] * 5 + [512]), (True, [512] * 6)])
def test_rows_that_measure_use(monkeypatch: pytest.MonkeyPatch, by_exposure: bool, of_each: list[int]) -> None:
    """16 a code, others every time, and 64 in the last round; where use is exposure, few rows would miss most of it."""
    measured: list[Tensor] = []
    real = Prices.__init__

    def spy(self: Prices, rows: Tensor, size: int, use: Tensor | None, generator: torch.Generator) -> None:
        measured.append(rows.clone())
        assert use is None or torch.equal(use.float(), rows[:, 0].abs())
        real(self, rows, size, use, generator)

    monkeypatch.setattr(Prices, "__init__", spy)
    rows, layers = matrix(512, 3, 1), books((8,), 3, 0)
    use = rows[:, 0].abs().double() if by_exposure else None
    settings = KMeans(beam_rounds=5, beam_noise=0.0)
    monkeypatch.setattr(beam, "_ROWS", 64)  # all rows in every round, then once more with the whole beam
    refine(rows, layers, 2, settings, Balance(0.5, use), torch.Generator(), lambda done, total: None)
    assert [len(part) for part in measured] == of_each
    if not by_exposure:
        assert len(torch.cat(measured[:4]).unique(dim=0)) == len(rows)


def test_prices_of_a_part_of_the_rows_weigh_as_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """What evens out the codes of the items is decided by how many there are, not by how many a round looks at."""
    weights: list[float] = []
    real = Prices.step

    def spy(prices: Prices, codewords: Tensor, price: Tensor, weight: float, temperature: float) -> Tensor:
        weights.append(weight)
        return real(prices, codewords, price, weight, temperature)

    monkeypatch.setattr(Prices, "step", spy)
    refined(matrix(1024, 3, 1), books((8, 8), 3, 0), dial=0.5, beam_rounds=4, beam_noise=0.0)
    assert len(weights) == 2 * (4 + 3)  # rounds on every fourth row, then on every fourth, every other and all
    assert set(weights) == {1 + 8 / (1024 / 8)}
