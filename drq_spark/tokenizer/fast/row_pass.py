"""What is multiplied with the codewords: rows about a centre, or what paths have left of them, in float32."""

from __future__ import annotations

import numpy as np

from drq_spark.arrays import F32, F64
from drq_spark.tokenizer.fast.machine_code import compiled
from drq_spark.tokenizer.fast.pass_arrays import BEAM, BOOKS, ROWS, Beam, Books
from drq_spark.tokenizer.fast.square_vectors import centre_16, residual_16

_MORE = 1.000001  # a norm in float64, made larger by what float64 and float32 may have rounded off


@compiled("void", ROWS, "float32[::1]", "float32[:, ::1]", "float64[::1]")
def centre_rows(z: F32, centre: F32, out: F32, norm: F64) -> None:
    """out = z - centre, [n, d]; norm, [n]: at least the norms of `out`."""
    dim = z.shape[1]
    sixteens = dim // 16
    z_at, centre_at, out_at = z.ctypes.data, centre.ctypes.data, out.ctypes.data
    for i in range(z.shape[0]):
        here = i * dim * 4
        square = centre_16(z_at + here, centre_at, out_at + here, sixteens)
        for k in range(sixteens * 16, dim):
            y = z[i, k] - centre[k]
            out[i, k] = y
            square += np.float64(y) * np.float64(y)
        norm[i] = np.sqrt(square) * _MORE


@compiled("void", ROWS, BOOKS, BEAM, "int64", "int64", "float32[:, ::1]")
def residual_rows(z: F32, books: Books, beam: Beam, paths: int, level: int, out: F32) -> None:
    """out[i * paths + p]: what path p has left of row i after `level` >= 1 levels, rounded once to float32.

    `beam.norm` becomes at least the largest norm of a row's paths.
    """
    words, first, codes, norm = books.words, books.first, beam.codes, beam.norm
    dim = z.shape[1]
    sixteens = dim // 16
    addresses = np.empty(level, np.int64)
    z_at, words_at, out_at, addresses_at = z.ctypes.data, words.ctypes.data, out.ctypes.data, addresses.ctypes.data
    for i in range(z.shape[0]):
        largest = 0.0
        for p in range(paths):
            for j in range(level):
                addresses[j] = words_at + (first[j] + codes[i, p, j]) * dim * 4
            to = i * paths + p
            square = residual_16(z_at + i * dim * 4, addresses_at, level, out_at + to * dim * 4, sixteens)
            for k in range(sixteens * 16, dim):
                left = np.float64(z[i, k])
                for j in range(level):
                    left -= np.float64(words[first[j] + codes[i, p, j], k])
                out[to, k] = np.float32(left)
                square += left * left
            largest = max(largest, square)
        norm[i] = np.sqrt(largest) * _MORE
