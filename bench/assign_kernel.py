"""Assignment rate of the certified kernel beside plain float32 and FAISS, on one core, in one run.

    python bench/assign_kernel.py [rows] [dim] [codes] [levels]

Prints rows per second and the ratio to the certified kernel; the three take turns, so that a drift of the machine's
speed hits all alike. Plain float32 is what an uncertified implementation would do: GEMM, argmin, subtract.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter

import faiss
import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32
from drq_spark.tokenizer import Tokenizer

ROUNDS = 5


def plain(x: F32, books: tuple[F32, ...], tile: int = 2048) -> NDArray[np.int64]:
    """Residual codes in float32 all the way."""
    codes = np.empty((len(x), len(books)), np.int64)
    for start in range(0, len(x), tile):
        residual = x[start : start + tile].copy()
        for level, book in enumerate(books):
            scores = (book * book).sum(axis=1) - 2 * (residual @ book.T)
            codes[start : start + tile, level] = scores.argmin(axis=1)
            residual -= book[codes[start : start + tile, level]]
    return codes


def faiss_quantizer(books: tuple[F32, ...]) -> faiss.ResidualQuantizer:
    """FAISS's greedy residual quantizer with the same codebooks."""
    bits = int(np.log2(len(books[0])))
    quantizer = faiss.ResidualQuantizer(books[0].shape[1], len(books), bits)
    quantizer.max_beam_size = 1
    faiss.copy_array_to_vector(np.concatenate(books).ravel(), quantizer.codebooks)
    quantizer.is_trained = True
    return quantizer


def main(rows: int = 100_000, dim: int = 384, codes: int = 256, levels: int = 3) -> None:
    """Time the three in turn."""
    faiss.omp_set_num_threads(1)
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, dim)).astype(np.float32)
    books = tuple((x[random.permutation(rows)[:codes]] * 0.6**level).astype(np.float32) for level in range(levels))
    tokenizer = Tokenizer("bench", dim, "none", books, (1.0,) * levels)
    quantizer = faiss_quantizer(books)
    ways: dict[str, Callable[[], object]] = {
        "certified": lambda: tokenizer.encode(x),
        "plain float32": lambda: plain(x, books),
        "FAISS beam 1": lambda: quantizer.compute_codes(x),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = perf_counter()
            way()
            seconds[name].append(perf_counter() - start)
    differ = (tokenizer.encode(x).codes != plain(x, books)).any(axis=1).mean()
    print(f"{rows:,} x {dim}, K = {codes}, L = {levels}, one thread; plain float32 differs in {differ:.5%} of the rows")
    for name, times in seconds.items():
        ratio = median(b / a for a, b in zip(times, seconds["certified"], strict=True))
        print(f"{name:<14} {rows / median(times):>10,.0f} rows/s   {ratio:5.2f} x the certified rate")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
