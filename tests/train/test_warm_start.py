"""Books that are fitted again from where they stood, against dense least squares and plain loops."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import pytest
import torch

from drq_spark.arrays import F32, I32
from drq_spark.config import load_config
from drq_spark.progress import SILENT
from drq_spark.train import warm_start
from drq_spark.train.beam_codes import Layer, beam_codes
from drq_spark.train.contract import UNKNOWN, TrainingData
from drq_spark.train.decode_tables import RIDGE
from drq_spark.train.latents import Latents
from drq_spark.train.prices import UNBALANCED, Balance
from drq_spark.train.residual import quantized
from drq_spark.train.stability import Frontier, Rung, kept_by
from drq_spark.train.warm_start import Pull, WarmStart, level_means

SIZES, DIM = (6, 5, 4), 3


def drawn(rows: int, seed: int = 0) -> tuple[F32, list[Layer], I32]:
    """Rows, layers, and the codes of the rows, of which every third has no SID."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, DIM)).astype(np.float32)
    layers = [
        Layer(torch.from_numpy((random.standard_normal((size, DIM)) / 2**level).astype(np.float32)),
              torch.zeros(size, dtype=torch.float64), None)
        for level, size in enumerate(SIZES)
    ]  # fmt: skip
    codes = beam_codes(torch.from_numpy(x), layers, 2)
    codes[::3] = UNKNOWN
    return x, layers, codes


def fit_of(x: F32, layers: list[Layer], codes: I32, pull: Pull, freed: Any = (), width: int = 2) -> Any:
    return warm_start._WarmFit(
        torch.from_numpy(x), codes, (codes != UNKNOWN).all(axis=1), layers, np.array(freed, np.int32), pull, UNBALANCED,
        torch.Generator().manual_seed(0), width,
    )  # fmt: skip


def test_the_solution_is_least_squares_pulled_by_what_a_code_held() -> None:
    x, layers, codes = drawn(60)
    fit = fit_of(x, layers, codes, Pull(0.7), freed=[2])
    moved = [replace(layer, codewords=layer.codewords + 1.0) for layer in layers]
    now = fit._held(beam_codes(torch.from_numpy(x), moved, 2), slice(None))
    chosen = np.zeros((60, sum(SIZES)))
    starts = np.cumsum((0, *SIZES))[:3]
    for row in range(60):
        chosen[row, starts + now[row]] = 1.0
    ridge = np.concatenate(
        [
            RIDGE + 0.7 * np.array([(codes[:, level] == code).sum() for code in range(size)])
            for level, size in enumerate(SIZES)
        ]
    )
    ridge[2] = RIDGE
    prior = np.concatenate([layer.codewords.numpy() for layer in layers]).astype(np.float64)
    prior[2] = moved[0].codewords[2]
    expected = np.linalg.solve(chosen.T @ chosen + np.diag(ridge), chosen.T @ x + ridge[:, None] * prior)
    solved = fit._solved(torch.from_numpy(x), now, moved, 0.0)
    assert np.allclose(np.concatenate([layer.codewords.numpy() for layer in solved]), expected, atol=1e-3)


def test_items_keep_their_sid_in_the_solution_but_for_freed_codes() -> None:
    x, layers, codes = drawn(40)
    others = np.full_like(codes, 3)
    held = fit_of(x, layers, codes, Pull(0.1), freed=[1])._held(others[::2], slice(0, None, 2))
    for row, (before, now) in enumerate(zip(codes[::2].tolist(), held.tolist(), strict=True)):
        assert now == ([3, 3, 3] if before[0] in (UNKNOWN, 1) else before), row
    assert (fit_of(x, layers, codes, Pull(0.0))._held(others, slice(None)) == 3).all()


def test_level_means_are_drawn_means_of_what_is_left() -> None:
    x, layers, codes = drawn(30)
    codes = np.abs(codes)
    prior, ridges = [layer.codewords.numpy() for layer in layers], [np.full((size, 1), 0.5 + size) for size in SIZES]
    left = x.astype(np.float64)
    for level, book in enumerate(level_means(x, codes, prior, ridges)):
        for code in range(SIZES[level]):
            own = left[codes[:, level] == code]
            pull = 0.5 + SIZES[level]
            assert np.allclose(book[code], (own.sum(axis=0) + pull * prior[level][code]) / (len(own) + pull), atol=1e-6)
        left = left - book[codes[:, level]]


def test_the_emptiest_codes_are_freed_for_new_items() -> None:
    x, layers, codes = drawn(90)
    x[::3] += 20.0  # those without a SID lie elsewhere
    known = (codes != UNKNOWN).all(axis=1)
    generator = torch.Generator().manual_seed(0)
    started, freed = warm_start._freed(torch.from_numpy(x), layers, codes, known, Pull(1.0, 1.0), generator)
    held = [int((codes[known, 0] == code).sum()) for code in range(SIZES[0])]
    assert sorted(held[code] for code in freed) == sorted(held)[:2]  # a third of six codes
    assert (started[0].codewords[freed] > 15.0).all()
    stay = [code for code in range(SIZES[0]) if code not in freed]
    assert torch.equal(started[0].codewords[stay], layers[0].codewords[stay])
    assert started[1:] == layers[1:]
    none, freed = warm_start._freed(torch.from_numpy(x), layers, codes, known, Pull(1.0, 0.0), generator)
    assert none == layers
    assert len(freed) == 0


def test_new_items_count_less_in_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    x, layers, codes = drawn(30)
    seen: list[Balance] = []
    monkeypatch.setattr(
        warm_start, "priced", lambda rows, codes, solved, items, balance, draw: seen.append(balance) or solved
    )
    settings = load_config(options={"tokenizer.beam": 2})
    use = torch.arange(30, dtype=torch.float64)
    generator, silent = torch.Generator(), SILENT.progress
    warm_start.warm_layers(
        torch.from_numpy(x), layers, codes, Pull(2.0), settings, Balance(0.5, use), generator, silent
    )
    expected = [row * (1.0 if (codes[row] != UNKNOWN).all() else 0.3) for row in range(30)]
    assert seen[0].use is not None
    assert np.allclose(seen[0].use, expected)


@pytest.mark.parametrize("name", ["drq", "rq_kmeans"])
def test_the_stronger_the_pull_the_less_moves(name: str) -> None:
    random = np.random.default_rng(1)
    x = (random.standard_normal((40, 8))[random.integers(0, 40, 600)] + 0.3 * random.standard_normal((600, 8))).astype(
        np.float32
    )
    settings = load_config(
        options={"tokenizer.name": name, "tokenizer.codes": 12, "train.threads": 1, "train.kmeans.beam_rounds": 2}
    )
    old = quantized(TrainingData(x[:400], 0, "a"), Latents(x[:400]), settings, SILENT.progress)
    data = TrainingData(x, 0, "b")
    codes = np.full((600, 3), UNKNOWN, np.int32)
    codes[:400] = old.codes

    def again(pull: Pull) -> Any:
        start = WarmStart(old.tokenizer.codebooks, old.tokenizer.prices, codes, pull)
        return quantized(data, Latents(x), settings, SILENT.progress, start)

    frozen = again(Pull(inf))
    for kept, was in zip(frozen.tokenizer.codebooks, old.tokenizer.codebooks, strict=True):
        assert np.array_equal(kept, was)
    assert not np.array_equal(frozen.tokenizer.tables[0], old.tokenizer.tables[0])  # tables change no SID
    moved, kept = [], []
    for strength in (30.0, 1.0, 0.0):
        fitted = again(Pull(strength))
        books = zip(fitted.tokenizer.codebooks, old.tokenizer.codebooks, strict=True)
        moved.append(sum(float(np.square(new - was).sum()) for new, was in books))
        kept.append(kept_by(fitted.codes, codes)[0])
    assert moved == sorted(moved)
    assert kept == sorted(kept, reverse=True)
    assert kept_by(frozen.codes, codes)[0] == 1.0


def test_kept_counts_the_rows_that_had_a_sid() -> None:
    before = np.array([[1, 2], [3, 4], [UNKNOWN, UNKNOWN], [5, 6]], np.int32)
    now = np.array([[1, 2], [3, 0], [7, 7], [0, 0]], np.int32)
    assert kept_by(now, before) == (1 / 3, (2 / 3, 1 / 3))
    assert kept_by(now[2:3], before[2:3]) == (1.0, (1.0, 1.0))


def test_the_budget_takes_what_keeps_most_of_what_it_can_afford() -> None:
    def rung(kept: float, error: float) -> Rung:
        return Rung(Pull(kept), kept, (kept,), error)

    found = Frontier(0.5, (rung(1.0, 0.52), rung(0.7, 0.5049), rung(0.8, 0.5051), rung(0.6, 0.49)))
    assert [chosen and chosen.kept for chosen in map(found.chosen, (0.05, 0.015, 0.01, 0.0))] == [1.0, 0.8, 0.7, 0.6]
    assert Frontier(0.4, found.rungs).chosen(0.1) is None
