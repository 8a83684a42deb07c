"""Margins, residual squares and reaches of the winners: float64 sums from differences, to the bit those of numpy."""

from __future__ import annotations

import numpy as np

from drq_spark.arrays import F32, F64, I64
from drq_spark.tokenizer.fast.machine_code import compiled, inlined
from drq_spark.tokenizer.fast.pass_arrays import BEAM, BOOKS, ROWS, Beam, Books
from drq_spark.tokenizer.fast.rival_vectors import (
    chain_3,
    chain_4,
    down,
    shared_chain_3,
    shared_chain_4,
    weighed_chain_3,
    weighed_chain_4,
    weighed_down,
    weighed_shared_chain_3,
    weighed_shared_chain_4,
)
from drq_spark.tokenizer.fast.square_vectors import address_at, number_at
from drq_spark.tokenizer.kernel import ROUNDED

_BLOCK = 128


@inlined
def _in_one_loop(
    z: int, own: int, rivals: int, levels: int, shared: bool, weights: int, stride: int, skip: int, eights: int,
    out: int,
) -> None:  # fmt: skip
    """One block of three or four levels, see `rival_vectors`; weights is 0 for ones."""
    if weights:
        if shared:
            if levels == 3:
                weighed_shared_chain_3(z, own, rivals, weights, stride, skip, eights, out)
            else:
                weighed_shared_chain_4(z, own, rivals, weights, stride, skip, eights, out)
        elif levels == 3:
            weighed_chain_3(z, own, rivals, weights, stride, skip, eights, out)
        else:
            weighed_chain_4(z, own, rivals, weights, stride, skip, eights, out)
    elif shared:
        if levels == 3:
            shared_chain_3(z, own, rivals, weights, stride, skip, eights, out)
        else:
            shared_chain_4(z, own, rivals, weights, stride, skip, eights, out)
    elif levels == 3:
        chain_3(z, own, rivals, weights, stride, skip, eights, out)
    else:
        chain_4(z, own, rivals, weights, stride, skip, eights, out)


@inlined
def _level_by_level(
    own: I64, rivals: int, shared: bool, weights: int, stride: int, skip: int, eights: int, left: int, start: int,
    out: int,
) -> None:  # fmt: skip
    """One block of any number of levels; left and start: addresses of the row's float64 numbers, twice."""
    levels = own.shape[0]
    for level in range(levels):
        rows, count = rivals + level * levels * 8, 1 if shared else level + 1
        last = weights + (levels - 1) * stride
        since = left if shared else start
        if weights:
            weighed_down(
                left, own[level], since, rows, count, weights + level * stride, last, skip, eights, out + level * 24
            )
        else:
            down(left, own[level], since, rows, count, weights, last, skip, eights, out + level * 24)


@inlined
def _squares(
    z: int, own: I64, own_at: int, rivals: int, shared: bool, weights: int, stride: int, plan: I64, left: F64,
    left_at: int, stack: F64, stack_at: int,
) -> None:  # fmt: skip
    """The sums of the winner's path and of its rivals, level by level, to stack[0], [L, 3]: see `rival_vectors`.

    Args:
        z: Address of the row.
        own: Addresses of the winner's codewords, [L].
        rivals: Address of [L, L] addresses: those of the rival of each level, or only of its last codeword where it
            shares the winner's path.
        weights: Address of the weights of all levels, 0 for ones.
        stride: Bytes of a row.
        plan: See `exact_squares.summation_plan`.
        left, stack: Room for two blocks, and for the sums of nested blocks; with their addresses.
    """
    levels, top = own.shape[0], 0
    at_once = levels == 3 or levels == 4
    for block in range(plan.shape[0]):
        first, length = plan[block, 0], plan[block, 1]
        eights, skip, out = length // 8, first * 4, stack_at + top * levels * 24
        for level in range(0 if eights else levels):
            stack[top, level, 0] = stack[top, level, 1] = stack[top, level, 2] = 0.0
        if eights and at_once:
            _in_one_loop(z, own_at, rivals, levels, shared, weights, stride, skip, eights, out)
        elif eights:
            for k in range(eights * 8):
                left[k] = left[_BLOCK + k] = number_at(z + skip + k * 4)
            _level_by_level(own, rivals, shared, weights, stride, skip, eights, left_at, left_at + _BLOCK * 8, out)
        for k in range(skip + eights * 32, skip + length * 4, 4):
            rest = number_at(z + k)
            for level in range(levels):
                aside = rest if shared else number_at(z + k)
                for j in range(1 if shared else level + 1):
                    aside -= number_at(address_at(rivals + (level * levels + j) * 8) + k)
                rest -= number_at(own[level] + k)
                after = at_last = rest
                if weights:
                    weight = number_at(weights + level * stride + k)
                    after, at_last = rest * weight, rest * number_at(weights + (levels - 1) * stride + k)
                    aside *= weight
                stack[top, level, 0] += after * after
                stack[top, level, 1] += at_last * at_last
                stack[top, level, 2] += aside * aside
        top += 1
        for _ in range(plan[block, 2]):
            top -= 1
            for level in range(levels):
                for j in range(3):
                    stack[top - 1, level, j] += stack[top, level, j]


@inlined
def _reach(kept: float, dropped: float, least: float) -> float:
    """`kernel.reach` of one row."""
    near, far = np.sqrt(max(kept - least, 0.0)), np.sqrt(max(dropped - least, 0.0))
    return float((far - near) / 2 - ROUNDED * far)


@compiled(
    "void", ROWS, BOOKS, BEAM, "float64[::1]", "boolean", "float32[:, ::1]", "float64[:, ::1]", "float64[::1]"
)  # fmt: skip
def finish(
    z: F32, books: Books, beam: Beam, least: F64, shared: bool, margin: F32, residual_square: F64, reach: F64
) -> None:
    """Margins [n, L], ||W^L r||^2 [n, L] and reaches ([n], or [0]: not wanted) of the paths
    `beam.codes[:, 0]`.

    Args:
        z, books, beam: After the last level.
        least: float64 [L], what an extension of each level pays at least.
        shared: Whether a rival shares the winner's path above its level, as it does where one path is kept.
        margin, residual_square, reach: Where they go.
    """
    first, price, plan = books.first, books.price, books.plan
    words_at, bytes_a_word = books.words.ctypes.data, z.shape[1] * 4
    weights_at = books.weights.ctypes.data if books.weights.shape[0] else 0
    codes, rival, dearest = beam.codes, beam.rival, beam.dearest
    levels, measure = first.shape[0], reach.shape[0] > 0
    own, rivals = np.empty(levels, np.int64), np.empty((levels, levels), np.int64)
    left, sums = np.empty(2 * _BLOCK), np.empty((64, levels, 3))
    own_at = own.ctypes.data
    rows_at, rivals_at, left_at, sums_at = z.ctypes.data, rivals.ctypes.data, left.ctypes.data, sums.ctypes.data
    for i in range(z.shape[0]):
        for level in range(levels):
            own[level] = words_at + (first[level] + codes[i, 0, level]) * bytes_a_word
            for j in range(level + 1):  # where there is no rival any codeword does
                word = first[j] + (rival[i, level, j] if rival[i, level, levels] else 0)
                rivals[level, 0 if shared else j] = words_at + word * bytes_a_word
        _squares(
            rows_at + i * bytes_a_word, own, own_at, rivals_at, shared, weights_at, bytes_a_word, plan, left, left_at,
            sums, sums_at,
        )  # fmt: skip
        paid, farthest = 0.0, np.inf
        for level in range(levels):
            extra = np.float64(price[first[level] + codes[i, 0, level]])
            cost = (sums[0, level, 0] + extra) + paid
            residual_square[i, level] = sums[0, level, 1]
            margin[i, level] = np.float32(1)
            if rival[i, level, levels]:
                square, given = sums[0, level, 2], 0.0
                if not shared:
                    for j in range(level):
                        given += np.float64(price[first[j] + rival[i, level, j]])
                at_price = np.float64(price[first[level] + rival[i, level, level]])
                dropped = (square + at_price) + given
                margin[i, level] = np.float32((dropped - cost) / square) if square > 0 else np.float32(0)
                if measure:
                    kept = cost if shared or level == levels - 1 else dearest[i, level]
                    farthest = min(farthest, _reach(kept, dropped, least[level]))
            if not shared:
                paid += extra
        if measure:
            reach[i] = farthest
