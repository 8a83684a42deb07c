"""Refitted decode tables against a dense solution of the same least squares."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from drq_spark.arrays import F32
from drq_spark.train.decode_tables import RIDGE, decode_tables, joint_least_squares

SIZES = (5, 4, 3)


def problem(rows: int = 300) -> tuple[F32, NDArray[np.int32], list[F32]]:
    """Latents, codes that depend on each other between levels, and rough books; code 4 of level 1 is not used."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 4, rows)
    codes = np.stack([first, (first + rng.integers(0, 2, rows)) % 4, rng.integers(0, 3, rows)], axis=1)
    books = [rng.normal(size=(size, 6)).astype(np.float32) for size in SIZES]
    latents = sum(book[codes[:, level]] for level, book in enumerate(books)) + rng.normal(size=(rows, 6))
    rough = [(book + 0.5 * rng.normal(size=book.shape)).astype(np.float32) for book in books]
    return np.asarray(latents, np.float32), codes.astype(np.int32), rough


@pytest.mark.parametrize(("most_at_once", "excess"), [(sum(SIZES), 1e-9), (sum(SIZES) - 1, 1e-3)])
def test_tables_solve_the_joint_least_squares(
    monkeypatch: pytest.MonkeyPatch, most_at_once: int, excess: float
) -> None:
    """At once, and by sweeps where there are more codewords than that."""
    monkeypatch.setattr("drq_spark.train.decode_tables.MOST_AT_ONCE", most_at_once)
    latents, codes, books = problem()
    chosen = np.concatenate([np.eye(size)[codes[:, level]] for level, size in enumerate(SIZES)], axis=1)
    prior = np.concatenate(books).astype(np.float64)
    solved = np.linalg.solve(chosen.T @ chosen + RIDGE * np.eye(sum(SIZES)), chosen.T @ latents + RIDGE * prior)
    tables = joint_least_squares(latents, codes, books)
    error, best = (
        np.square(latents - chosen @ t).sum() + RIDGE * np.square(t - prior).sum()
        for t in (np.concatenate(tables), solved)
    )
    assert error <= best * (1 + excess)
    assert all(table.dtype == np.float32 and table.flags.c_contiguous for table in tables)


def test_a_code_that_nobody_uses_keeps_its_codeword() -> None:
    latents, codes, books = problem()
    assert np.array_equal(joint_least_squares(latents, codes, books)[0][4], books[0][4])
    assert np.array_equal(decode_tables(latents, codes, books)[0][4], books[0][4])


def test_decode_tables_are_pulled_towards_the_mean_and_nothing_by_what_codes_leave_over_what_they_explain() -> None:
    latents, codes, books = problem()
    mean = latents.mean(axis=0, dtype=np.float64).astype(np.float32)
    prior = [np.tile(mean, (5, 1)), *(np.zeros_like(book) for book in books[1:])]
    words = [book[codes[:, level]].astype(np.float64) for level, book in enumerate(books)]
    left = np.square(latents - sum(words)).sum()
    ridges = [left / np.square(word - centre[0]).sum() for word, centre in zip(words, prior, strict=True)]
    expected, tables = joint_least_squares(latents, codes, prior, ridges), decode_tables(latents, codes, books)
    assert np.allclose(tables[0][:4], expected[0][:4], atol=1e-5)
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(tables[1:], expected[1:], strict=True))


def test_codes_that_leave_nothing_are_not_pulled() -> None:
    _, codes, books = problem()
    latents = np.sum([book[codes[:, level]] for level, book in enumerate(books)], axis=0).astype(np.float32)
    tables = decode_tables(latents, codes, books)
    decoded = np.sum([table[codes[:, level]] for level, table in enumerate(tables)], axis=0)
    assert np.allclose(decoded, latents, atol=1e-4)


def test_decode_tables_serve_unseen_rows_better_than_tables_pulled_to_the_codebooks() -> None:
    """Few rows a code: what a codeword made of chance is no good guess for others."""
    rng = np.random.default_rng(1)
    latents, other = (rng.normal(size=(rows, 12)).astype(np.float32) for rows in (300, 3000))
    centre = rng.normal(size=(60, 12)).astype(np.float32)

    def nearest(rows: F32) -> NDArray[np.int32]:
        return np.square(rows[:, None] - centre).sum(axis=2).argmin(axis=1)[:, None].astype(np.int32)

    codes = nearest(latents)
    book = np.stack([latents[codes[:, 0] == k].mean(axis=0) if (codes == k).any() else centre[k] for k in range(60)])
    both = decode_tables(latents, codes, [book]), joint_least_squares(latents, codes, [book])
    errors = [np.square(other - tables[0][nearest(other)[:, 0]]).sum() for tables in both]
    assert errors[0] < 0.98 * errors[1]


def test_tables_beat_the_codebooks_on_the_rows_of_the_fit() -> None:
    latents, codes, books = problem()
    before, after = (
        np.square(latents - sum(t[codes[:, level]] for level, t in enumerate(tables))).sum()
        for tables in (books, decode_tables(latents, codes, books))
    )
    assert after < 0.9 * before
