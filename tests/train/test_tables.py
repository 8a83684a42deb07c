"""Refitted decode tables against a dense solution of the same least squares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drq_spark.train.tables import RIDGE, joint_least_squares

F32 = NDArray[np.float32]
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


def test_tables_solve_the_joint_least_squares() -> None:
    latents, codes, books = problem()
    chosen = np.concatenate([np.eye(size)[codes[:, level]] for level, size in enumerate(SIZES)], axis=1)
    prior = np.concatenate(books).astype(np.float64)
    solved = np.linalg.solve(chosen.T @ chosen + RIDGE * np.eye(sum(SIZES)), chosen.T @ latents + RIDGE * prior)
    tables = joint_least_squares(latents, codes, books)
    error, best = (
        np.square(latents - chosen @ t).sum() + RIDGE * np.square(t - prior).sum()
        for t in (np.concatenate(tables), solved)
    )
    assert error <= best * (1 + 1e-3)
    assert all(table.dtype == np.float32 for table in tables)


def test_a_code_that_nobody_uses_keeps_its_codeword() -> None:
    latents, codes, books = problem()
    assert np.array_equal(joint_least_squares(latents, codes, books)[0][4], books[0][4])


def test_tables_beat_the_codebooks_on_the_rows_of_the_fit() -> None:
    latents, codes, books = problem()
    before, after = (
        np.square(latents - sum(t[codes[:, level]] for level, t in enumerate(tables))).sum()
        for tables in (books, joint_least_squares(latents, codes, books))
    )
    assert after < 0.9 * before
