"""Rates of the certified search, compiled and in numpy, beside bare sgemm, plain float32 and FAISS, in one run.

    python bench/assign_kernel.py [dim codes] ..

CPU time of one thread, so that other jobs on the machine count little; the ways take turns, so that a drift of its
speed hits all alike; the best of the rounds. FAISS brings a BLAS of its own, which may take a new processor for an old
one: it is told which kernels numpy's BLAS chose. The BLAS of each is printed.
Shares are of bare sgemm: the L products of the rows with a codebook each, and nothing else.
"""

from __future__ import annotations

import ctypes
import os
import sys

os.environ["OMP_NUM_THREADS"] = "1"  # read when the libraries are loaded
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ.pop("OPENBLAS_CORETYPE", None)

from collections.abc import Callable
from pathlib import Path
from time import thread_time

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32
from drq_spark.tokenizer.encoding import encode_in_numpy
from drq_spark.tokenizer.fast.fast_search import FastSearch
from drq_spark.tokenizer.kernel import Level

SHAPES = [(64, 256), (128, 256), (384, 256), (768, 256), (128, 1024), (128, 4096)]
LEVELS, ROUNDS, SLOW_ROUNDS, BEAM = 3, 25, 3, 4
_KNOWN_TO_OLD_BLAS = {"SAPPHIRERAPIDS": "SKYLAKEX", "COOPERLAKE": "SKYLAKEX"}

Way = Callable[[], object]


def blas_in_use() -> list[tuple[str, str]]:
    """Folder and chosen kernels of every OpenBLAS that this process has loaded."""
    maps = Path("/proc/self/maps").read_text().splitlines() if Path("/proc/self/maps").exists() else []
    found = []
    for path in sorted({line.split()[-1] for line in maps if "openblas" in line}):
        library = ctypes.CDLL(path)
        names = [f"{before}openblas_get_corename{after}" for before in ("", "scipy_") for after in ("", "64_")]
        for name in names:
            if hasattr(library, name):
                function = getattr(library, name)
                function.restype = ctypes.c_char_p
                found.append((Path(path).parent.name, function().decode()))
                break
    return found


def import_faiss():
    """FAISS with its best kernels."""
    np.ones((2, 2), np.float32) @ np.ones((2, 2), np.float32)
    chosen = [kernels for folder, kernels in blas_in_use() if folder.startswith("numpy")]
    if chosen:
        os.environ["OPENBLAS_CORETYPE"] = _KNOWN_TO_OLD_BLAS.get(chosen[0].upper(), chosen[0])
    import faiss

    faiss.omp_set_num_threads(1)
    return faiss


def case(dim: int, size: int) -> tuple[F32, list[F32]]:
    """Random rows, and codebooks of what rows have left of the levels above."""
    rng = np.random.default_rng(0)
    rows = int(min(40_000, max(2 * size + 1000, 1.2e9 / (dim * size))))
    x = rng.normal(size=(rows, dim)).astype(np.float32)
    left, books = x, []
    for _ in range(LEVELS):
        book = (left[rng.permutation(rows)[:size]] * np.float32(0.7)).astype(np.float32)
        books.append(book)
        left = left - book[(np.square(book).sum(axis=1) - 2 * left @ book.T).argmin(axis=1)]
    return x[: max(1024, rows // 4)], books  # few rows a round, so that some rounds are not interrupted


def sgemm(x: F32, books: list[F32], tile: int) -> Way:
    """The products alone."""
    turned, room = [np.ascontiguousarray(book.T) for book in books], np.empty((tile, len(books[0])), np.float32)

    def run() -> None:
        for book in turned:
            for start in range(0, len(x), tile):
                part = x[start : start + tile]
                np.matmul(part, book, out=room[: len(part)])

    return run


def plain(x: F32, books: list[F32]) -> Callable[[], NDArray[np.int64]]:
    """Greedy codes in float32 all the way: what an uncertified implementation would do."""
    doubled, squares = [np.ascontiguousarray(-2 * book.T) for book in books], [np.square(book).sum(1) for book in books]
    tile = max(128, 2**18 // len(books[0]))

    def run() -> NDArray[np.int64]:
        codes = np.empty((len(x), len(books)), np.int64)
        for start in range(0, len(x), tile):
            left = x[start : start + tile].copy()
            for level, (book, twice, square) in enumerate(zip(books, doubled, squares, strict=True)):
                scores = left @ twice
                scores += square
                codes[start : start + tile, level] = scores.argmin(axis=1)
                left -= book[codes[start : start + tile, level]]
        return codes

    return run


def faiss_quantizer(faiss, x: F32, books: list[F32], width: int, table: int) -> Way | None:
    """FAISS's residual quantizer with the same codebooks; None where it refuses."""
    made = faiss.ResidualQuantizer(x.shape[1], len(books), int(np.log2(len(books[0]))))
    made.max_beam_size, made.use_beam_LUT = width, table
    faiss.copy_array_to_vector(np.concatenate(books).ravel(), made.codebooks)
    made.is_trained = True
    try:
        if table:
            made.compute_codebook_tables()
        made.compute_codes(x[:100])
    except RuntimeError:
        return None
    return lambda: made.compute_codes(x)


def time_in_turn(ways: dict[str, Way]) -> dict[str, float]:
    """Seconds of the best round of each."""
    best = dict.fromkeys(ways, float("inf"))
    for turn in range(ROUNDS):
        for name, way in ways.items():
            if turn < SLOW_ROUNDS or not name.startswith(("numpy", "FAISS beam 4, LUT 0")):
                start = thread_time()
                way()
                best[name] = min(best[name], thread_time() - start)
    return best


def ways_to_encode(faiss, x: F32, books: list[F32], greedy: FastSearch, beam: FastSearch) -> dict[str, Way]:
    """What is timed, by name."""
    levels = [Level.prepare(book) for book in books]
    ways: dict[str, Way | None] = {
        "sgemm, tile 256": sgemm(x, books, 256),
        "sgemm, tile 1024": sgemm(x, books, 1024),
        "plain float32, greedy": plain(x, books),
        "numpy greedy": lambda: encode_in_numpy(x, levels, 1),
        "compiled greedy, codes": lambda: greedy.codes(x),
        "compiled greedy, margins": lambda: greedy.encode(x, reach=False),
        "numpy beam 4": lambda: encode_in_numpy(x, levels, BEAM),
        "compiled beam 4, codes": lambda: beam.codes(x),
        "compiled beam 4, margins": lambda: beam.encode(x, reach=False),
    }
    for width in (1, BEAM):
        for table in (0, 1):
            ways[f"FAISS beam {width}, LUT {table}"] = faiss_quantizer(faiss, x, books, width, table)
    return {name: way for name, way in ways.items() if way is not None}


def decided(search: FastSearch, x: F32) -> str:
    """Shares of rows that each level decided in float64."""
    return " ".join(f"{share:.2%}" for share in search.encode(x, reach=False).uncertain / len(x))


def main(*numbers: int) -> None:
    """Time all ways on each shape."""
    faiss = import_faiss()
    for folder, kernels in blas_in_use():
        print(f"BLAS of {folder}: {kernels}")
    for dim, size in list(zip(numbers[::2], numbers[1::2], strict=True)) or SHAPES:
        x, books = case(dim, size)
        levels = [Level.prepare(book) for book in books]
        greedy, beam = FastSearch(levels, 1), FastSearch(levels, BEAM)
        best = time_in_turn(ways_to_encode(faiss, x, books, greedy, beam))
        floor = min(best["sgemm, tile 256"], best["sgemm, tile 1024"])
        differ = (greedy.codes(x) != plain(x, books)()).any(axis=1).mean()
        print(
            f"\n{len(x):,} x {dim}, K = {size}, L = {LEVELS}, one thread; float32 differs in {differ:.4%} of the rows"
        )
        print(f"decided in float64: greedy {decided(greedy, x)}, beam 4 {decided(beam, x)}")
        for name, seconds in best.items():
            print(f"{name:<26} {len(x) / seconds:>10,.0f} rows/s   {floor / seconds:5.2f} of sgemm", flush=True)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
