"""Scores of extensions and their keys: chooses the vector function for the number of rows that are added up."""

from __future__ import annotations

import numpy as np

from drq_spark.arrays import F32
from drq_spark.tokenizer.fast.machine_code import compiled, inlined
from drq_spark.tokenizer.fast.score_vectors import (
    add_1,
    add_2,
    add_3,
    add_more,
    rank_three_1,
    rank_three_2,
    rank_three_3,
    rank_two_1,
    rank_two_2,
    rank_two_3,
)

LIST_BYTES = 192  # three keys of each of 16 lanes
LIST_KEYS = 48


@inlined
def number_bits(vectors: int) -> int:
    """How many of the lowest bits of a key are the number of its vector."""
    bits = 0
    while (1 << bits) < vectors:
        bits += 1
    return bits


@inlined
def add_path(
    dst: int, g: int, rows: int, terms: int, base: float, first: int, mask: int, vectors: int, lists: int
) -> None:
    """Scores of one path and their keys, see `score_vectors`; terms: how many rows are added to g."""
    if terms == 1:
        add_1(dst, g, rows, terms - 1, base, first, mask, vectors, lists)
    elif terms == 2:
        add_2(dst, g, rows, terms - 1, base, first, mask, vectors, lists)
    elif terms == 3:
        add_3(dst, g, rows, terms - 1, base, first, mask, vectors, lists)
    else:
        add_more(dst, g, rows, terms, base, first, mask, vectors, lists)


@inlined
def rank_only_path(g: int, rows: int, terms: int, depth: int, mask: int, vectors: int, lists: int) -> None:
    """Keys of the only path of a row, of at most three terms, `depth` (2 or 3) in each lane."""
    fresh = np.int32(0)
    if depth == 2:
        if terms == 1:
            rank_two_1(g, rows, fresh, mask, vectors, lists)
        elif terms == 2:
            rank_two_2(g, rows, fresh, mask, vectors, lists)
        else:
            rank_two_3(g, rows, fresh, mask, vectors, lists)
    elif terms == 1:
        rank_three_1(g, rows, fresh, mask, vectors, lists)
    elif terms == 2:
        rank_three_2(g, rows, fresh, mask, vectors, lists)
    else:
        rank_three_3(g, rows, fresh, mask, vectors, lists)


@compiled("void", "float32[:, ::1]", "float32[::1]", "int64", "float32[:, ::1]")
def rank_block(scored: F32, offset: F32, start: int, lists: F32) -> None:
    """Keys of one block of codes of the only path, from column `start` on, into the lists [n, 48] of a tile.

    scored: product with that block's operand, [n, width of the block]; offset: of all codes.
    """
    width = scored.shape[1]
    mask = np.int32(-(1 << number_bits(offset.shape[0] // 16)))
    addresses = np.empty(1, np.int64)
    addresses[0] = offset.ctypes.data + start * 4
    scored_at, lists_at, addresses_at = scored.ctypes.data, lists.ctypes.data, addresses.ctypes.data
    for i in range(scored.shape[0]):
        g, kept = scored_at + i * width * 4, lists_at + i * LIST_BYTES
        rank_three_1(g, addresses_at, np.int32(start // 16), mask, width // 16, kept)


@inlined
def score_anew(zeta: F32, i: int, operand: F32, offset: F32, scores: F32) -> None:
    """Scores of one row whose product is gone; another order of summation, within the same bound."""
    dim, padded = operand.shape
    for j in range(padded):
        scores[j] = 0
    for k in range(dim):
        y = zeta[i, k]
        for j in range(padded):
            scores[j] += y * operand[k, j]
    for j in range(padded):
        scores[j] += offset[j]
