"""Residual books: the codes of training are those of the frozen tokenizer, level after level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drq_spark.config import load_config
from drq_spark.tokenizer import Tokenizer
from drq_spark.train import kmeans, residual
from drq_spark.train.contract import silent
from drq_spark.train.residual import Books, fit_books

F32 = NDArray[np.float32]


def rows(count: int, seed: int) -> F32:
    """Heavy-tailed rows, off the origin."""
    return (np.random.default_rng(seed).standard_t(3, size=(count, 6)) + 5).astype(np.float32)


def books(fit: F32, held_out: F32, **options: Any) -> Books:
    base: dict[str, Any] = {"tokenizer.codes": (9, 5, 7), "train.device": "cpu"}
    return fit_books(fit, held_out, load_config(options=base | options), silent)


def frozen(found: Books) -> Tokenizer:
    return Tokenizer("test", 6, "none", found.codebooks, latent_rms=1.0)


@pytest.mark.parametrize("block", [1, 100, 2**21])
def test_codes_are_those_of_the_frozen_tokenizer(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Also when the rows are worked in blocks of one."""

    def blocks(count: int, width: int) -> list[slice]:
        return [slice(start, min(start + block, count)) for start in range(0, count, block)]

    monkeypatch.setattr(residual, "row_blocks", blocks)
    fit = rows(400, 0)
    found = books(fit, rows(50, 1))
    assert np.array_equal(found.codes, frozen(found).encode_latent(fit).codes)


def test_every_level_is_fitted_to_what_the_one_before_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """k-means is given float32 copies of the exact residuals."""
    given: list[F32] = []
    real = kmeans.fit_codebook

    def spy(matrix: Any, *rest: Any) -> Any:
        given.append(matrix.numpy().copy())
        return real(matrix, *rest)

    monkeypatch.setattr(residual, "fit_codebook", spy)
    fit = rows(300, 0)
    found = books(fit, rows(0, 1))
    left = fit.astype(np.float64)
    for level, book in enumerate(found.codebooks):
        assert np.array_equal(given[level], left.astype(np.float32))
        left = left - book[found.codes[:, level]]


def test_held_out_rows_do_not_touch_the_books() -> None:
    fit = rows(300, 0)
    pair = books(fit, rows(80, 1)), books(fit, rows(30, 2) * 50)
    assert all(np.array_equal(a, b) for a, b in zip(pair[0].codebooks, pair[1].codebooks, strict=True))
    assert pair[0].held_out != pair[1].held_out


def test_error_falls_with_every_level() -> None:
    found = books(rows(500, 0), rows(100, 1))
    for part in (found.fit, found.held_out):
        errors = [figures.relative_mse for figures in part]
        assert errors == sorted(errors, reverse=True)
        assert errors[0] < 1


def test_no_held_out_rows_no_figures() -> None:
    assert books(rows(100, 0), rows(0, 1)).described()["held_out"] == []
