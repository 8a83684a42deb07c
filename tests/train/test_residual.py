"""Residual books: what each level is given, prices, beams and metrics, through the frozen tokenizer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from drq_spark.arrays import F32
from drq_spark.config import Config, load_config
from drq_spark.errors import ConfigError
from drq_spark.progress import SILENT
from drq_spark.tokenizer import Tokenizer
from drq_spark.train import kmeans, residual
from drq_spark.train.beam_codes import Layer, beam_codes
from drq_spark.train.contract import TrainingData
from drq_spark.train.evaluation import reconstruction_error
from drq_spark.train.latents import Latents
from drq_spark.train.residual import quantized


def rows(count: int, seed: int) -> F32:
    """Heavy-tailed rows, off the origin."""
    return (np.random.default_rng(seed).standard_t(3, size=(count, 6)) + 5).astype(np.float32)


def config(**options: Any) -> Config:
    base: dict[str, Any] = {"tokenizer.codes": (9, 5, 7), "train.device": "cpu", "tokenizer.name": "rq_kmeans"}
    return load_config(options=base | {key.replace("__", "."): value for key, value in options.items()})


def data(fit: F32, held_out: F32) -> TrainingData:
    return TrainingData(np.concatenate([held_out, fit]), len(held_out), "abc")


def trained(fit: F32, held_out: F32, weights: tuple[F32, ...] | None = None, **options: Any) -> Tokenizer:
    given = data(fit, held_out)
    return quantized(given, Latents(given.prepared, weights=weights), config(**options), SILENT.progress).tokenizer


def test_a_level_that_collapses_is_named() -> None:
    """Nearly all rows are nearly the same: one code has them, and the others tell the rest apart."""
    even = rows(1000, 0)
    fit = even.copy()
    fit[:970] = 5 + 1e-4 * (fit[:970] - 5)
    assert trained(even, rows(0, 1)).training["warnings"] == []
    warning = trained(fit, rows(0, 1)).training["warnings"][0]
    assert warning.startswith("level 1 uses 9 of 9 codes, no better than 1 codes used evenly: raise tokenizer.balance")


def test_every_level_is_fitted_to_what_the_one_before_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """k-means is given the residuals in standard coordinates: a shift of the first level, a power of two for all."""
    given: list[F32] = []
    real = kmeans.fit_codebook

    def spy(matrix: Any, *rest: Any) -> Any:
        given.append(matrix.numpy().copy())
        return real(matrix, *rest)

    monkeypatch.setattr(residual, "fit_codebook", spy)
    fit = rows(300, 0)
    tokenizer = trained(fit, rows(0, 1))
    left, codes = fit.astype(np.float64) - fit.mean(axis=0, dtype=np.float64), tokenizer.encode_latent(fit).codes
    scale = (np.abs(left) / np.abs(given[0])).mean()
    for level, book in enumerate(tokenizer.codebooks):
        assert np.allclose(given[level] * scale, left, atol=1e-4)
        shift = fit.mean(axis=0, dtype=np.float64) if level == 0 else 0.0
        left = left - (book[codes[:, level]] - shift)


def test_held_out_rows_do_not_touch_the_books() -> None:
    fit = rows(300, 0)
    pair = trained(fit, rows(80, 1)), trained(fit, rows(30, 2) * 50)
    for name in ("codebooks", "tables"):
        assert all(np.array_equal(a, b) for a, b in zip(getattr(pair[0], name), getattr(pair[1], name), strict=True))
    assert pair[0].training["levels"]["held_out"] != pair[1].training["levels"]["held_out"]


def test_error_falls_with_every_level() -> None:
    for part in trained(rows(500, 0), rows(100, 1)).training["levels"].values():
        errors = [figures["relative_mse"] for figures in part]
        assert errors == sorted(errors, reverse=True)
        assert errors[0] < 1


def test_prices_ship_only_where_the_dial_keeps_them() -> None:
    fit, none = np.random.default_rng(0).normal(size=(600, 6)).astype(np.float32), rows(0, 1)
    assert trained(fit, none).prices is None
    priced = trained(fit, none, tokenizer__balance=0.6)
    assert priced.prices is not None
    assert [price.dtype for price in priced.prices] == [np.float32] * 3
    plain, even = (
        [level["perplexity"] for level in tokenizer.training["levels"]["fit"]]
        for tokenizer in (trained(fit, none), trained(fit, none, tokenizer__balance=1.0))
    )
    assert min(even) > 0.93
    assert sum(even) > sum(plain)


@pytest.mark.parametrize("dial", [0.0, 0.5])
def test_a_beam_leaves_less(dial: float) -> None:
    """Books refitted to the paths of a beam beat the greedy ones on the rows of the fit, and on others."""
    fit, other = rows(3000, 0), rows(1000, 1)
    settings = {"tokenizer__codes": (16, 16, 16), "tokenizer__balance": dial}
    greedy, wide = trained(fit, other, **settings), trained(fit, other, **settings, tokenizer__beam=4)
    assert (greedy.beam, wide.beam) == (1, 4)
    for part in (fit, other):
        mean = part.mean(axis=0, dtype=np.float64)
        assert reconstruction_error(wide, part, mean) < 0.98 * reconstruction_error(greedy, part, mean)


@pytest.mark.parametrize("weighed", [False, True])
def test_the_training_beam_is_the_frozen_one(weighed: bool) -> None:
    """Whole numbers and powers of two: both are exact, ties aside."""
    rng = np.random.default_rng(0)
    x = rng.integers(-40, 41, (300, 5)).astype(np.float32)
    words = [rng.integers(-20, 21, (size, 5)).astype(np.float32) + np.float32(0.125) for size in (9, 5, 7)]
    prices = [rng.integers(0, 30, len(book)).astype(np.float32) + np.float32(0.3) for book in words]
    weight = np.array([1, 1, 0.5, 0, 1], np.float32) if weighed else None
    layers = [
        Layer(
            torch.from_numpy(book),
            torch.from_numpy(price).double(),
            None if weight is None else torch.from_numpy(weight),
        )
        for book, price in zip(words, prices, strict=True)
    ]
    frozen = Tokenizer("t", 5, "none", tuple(words), (1.0,) * 3, prices=tuple(prices), beam=3,
                       weights=None if weight is None else (weight,) * 3)  # fmt: skip
    same = (beam_codes(torch.from_numpy(x), layers, 3) == frozen.encode_latent(x).codes).all(axis=1)
    assert same.mean() > 0.98


def test_coordinates_without_weight_are_decoded_but_do_not_choose() -> None:
    fit = rows(500, 0)
    weight = np.array([1, 1, 1, 1, 1, 0], np.float32)
    tokenizer = trained(fit, rows(0, 1), weights=(weight,) * 3, tokenizer__beam=3)
    without = trained(fit[:, :5].copy(), rows(0, 1)[:, :5], tokenizer__beam=3)
    codes = tokenizer.encode_latent(fit).codes
    assert (codes == without.encode_latent(fit[:, :5].copy()).codes).mean() > 0.99
    decoded = tokenizer.decode(codes)[:, 5]
    assert np.square(fit[:, 5] - decoded).sum() < np.square(fit[:, 5] - fit[:, 5].mean()).sum()


def test_balance_by_exposure_needs_exposure() -> None:
    with pytest.raises(
        ConfigError, match=r"^tokenizer\.balance_by is exposure, but no exposure is known: set items\.exp"
    ):
        trained(rows(100, 0), rows(0, 1), tokenizer__balance=0.5, tokenizer__balance_by="exposure")


def test_exposure_of_the_fit_rows_is_what_counts() -> None:
    """Exposure follows its rows through the split: reversed exposures give other prices, the held-out part does not."""
    fit, held_out = rows(400, 0), rows(50, 1)
    shown = np.random.default_rng(3).pareto(1.0, 450) + 0.1
    settings = config(tokenizer__balance=0.7, tokenizer__balance_by="exposure")

    def books(exposure: NDArray[np.float64]) -> Tokenizer:
        given = replace(data(fit, held_out), exposure=exposure)
        return quantized(given, Latents(given.prepared), settings, SILENT.progress).tokenizer

    other_held_out = np.concatenate([np.full(50, 99.0), shown[50:]])
    assert np.array_equal(books(shown).codebooks[0], books(other_held_out).codebooks[0])
    assert not np.array_equal(books(shown).codebooks[0], books(shown[::-1].copy()).codebooks[0])


@pytest.mark.parametrize(
    ("sizes", "count", "dim", "rounds"),  # a round solves for all codewords at once: not for 1536
    [((6,) * 8, 300, 8, 1), ((1536, 4, 2), 1600, 8, 0), ((5, 4, 3), 80, 2048, 1), ((2, 300, 17, 64), 400, 31, 1)],
    ids=["eight levels", "1536 codes", "2048 dimensions", "different sizes"],
)
def test_shapes_at_the_edges(sizes: tuple[int, ...], count: int, dim: int, rounds: int) -> None:
    fit = np.random.default_rng(0).normal(size=(count, dim)).astype(np.float32)
    short = {
        "train__kmeans__start_iterations": 1,
        "train__kmeans__balance_iterations": 2,
        "train__kmeans__beam_rounds": rounds,
        "tokenizer__balance": 0.35,
    }
    shape = {"tokenizer__levels": len(sizes), "tokenizer__codes": sizes}
    tokenizer = trained(fit, fit[:0], **short, **shape, tokenizer__beam=4, tokenizer__name="drq")
    codes = tokenizer.encode(fit).codes
    assert tokenizer.codebook_sizes == sizes
    assert (codes < np.array(sizes)).all()
    error = np.square(fit - tokenizer.decode(codes)).sum() / np.square(fit - fit.mean(axis=0)).sum()
    assert error < 1
    assert tokenizer.training["levels"]["fit"][0]["used"] > 0.6
