"""Latents and codebooks where float32 misleads: ties, near ties, the ends of its range, coordinates of all sizes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Case = tuple[str, np.ndarray, list[np.ndarray]]


def random_case(n: int, dim: int, sizes: tuple[int, ...], scale: float = 1.0, offset: float = 0.0, seed: int = 0):
    """Rows and codebooks whose spread falls from level to level; the offset is that of the rows and of level 1."""
    rng = np.random.default_rng(seed)
    books = [(rng.normal(size=(size, dim)) * scale * 0.6**level).astype(np.float32) for level, size in enumerate(sizes)]
    books[0] = (books[0] + offset).astype(np.float32)
    return (rng.normal(size=(n, dim)) * scale + offset).astype(np.float32), books


def hard_cases() -> Iterator[Case]:
    """Name, rows float32 [n, d], codebooks."""
    rng = np.random.default_rng(0)
    for dim, sizes in [(64, (256, 256)), (100, (50, 37, 64)), (7, (20, 3, 64)), (1, (5, 4)), (33, (9,) * 8),
                       (300, (40, 30)), (20, (1100, 40)), (1, (2,)), (130, (17, 2))]:  # fmt: skip
        yield f"random, d = {dim}, K = {sizes}", *random_case(120, dim, sizes)
    z, books = random_case(150, 24, (64, 64, 64))
    yield "every codeword three times", z, [np.concatenate([book[:22]] * 3)[:64] for book in books]
    crowd = [np.repeat(book[:16], 4, axis=0) for book in books]
    for book in crowd:
        book[rng.permutation(64)[:32]] *= np.float32(1 + 2e-7)
    yield "codewords a unit apart", z, crowd
    pairs = rng.integers(0, 64, (150, 2))
    half = ((books[0][pairs[:, 0]].astype(np.float64) + books[0][pairs[:, 1]]) / 2).astype(np.float32)
    yield "half-way between codewords", half, books
    yield "rows that are codewords", np.concatenate([books[0], books[0] + books[1]]), books
    lattice = [rng.integers(-3, 4, (60, 6)).astype(np.float32) for _ in range(3)]
    yield "integer lattice", (rng.integers(-9, 10, (200, 6)) / 2).astype(np.float32), lattice
    word = rng.normal(size=200).astype(np.float32)
    shuffled = [np.array([rng.permutation(word) for _ in range(20)]) for _ in range(2)]
    yield "ties that rounding decides", np.repeat(rng.normal(size=(60, 1)), 200, axis=1).astype(np.float32), shuffled
    for scale in (1e-38, 1e-30, 1e-12, 1e6, 1e15, 1e19, 1e30, 4e37):
        yield f"scale {scale:g}", *random_case(40, 12, (20, 20, 20), scale)
    for offset in (1e3, 1e6):
        yield f"offset {offset:g}", *random_case(100, 48, (64, 64, 64), 1.0, offset)
    z, books = random_case(60, 12, (30, 30))
    yield "rows far from all codewords", (z * 1e10).astype(np.float32), books
    spread = np.array([1e18, 1.0, 1e-18, 1e9, 1e-30, 0.0] * 2)
    yield "huge and tiny coordinates", (z * spread).astype(np.float32), [(b * spread).astype(np.float32) for b in books]
    yield "all codewords the same", z, [np.ones((9, 12), np.float32), books[1]]
    yield "no rows", z[:0], books


HARD_CASES = list(hard_cases())
