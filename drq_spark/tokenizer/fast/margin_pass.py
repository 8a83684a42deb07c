"""Margins, residual squares and reaches of the winners: float64 sums from differences, to the bit those of numpy."""

from __future__ import annotations

import numpy as np

from drq_spark.arrays import F32, F64, I64
from drq_spark.tokenizer.fast.machine_code import compiled, inlined
from drq_spark.tokenizer.fast.pass_arrays import BEAM, BOOKS, ROWS, Beam, Books
from drq_spark.tokenizer.fast.square_vectors import (
    address_at,
    down_1,
    down_2,
    down_3,
    down_more,
    down_shared,
    number_at,
    weighed_down_1,
    weighed_down_2,
    weighed_down_3,
    weighed_down_more,
    weighed_down_shared,
)
from drq_spark.tokenizer.kernel import ROUNDED

_BLOCK = 128


@inlined
def _step_down(
    left: int, own: int, z: int, rival: int, count: int, shared: bool, weight: int, last: int, skip: int, eights: int,
    out: int,
) -> None:  # fmt: skip
    """One block of one level, see `square_vectors`; weight is 0 for ones."""
    if weight:
        if shared:
            weighed_down_shared(left, own, z, rival, count, weight, last, skip, eights, out)
        elif count == 1:
            weighed_down_1(left, own, z, rival, count, weight, last, skip, eights, out)
        elif count == 2:
            weighed_down_2(left, own, z, rival, count, weight, last, skip, eights, out)
        elif count == 3:
            weighed_down_3(left, own, z, rival, count, weight, last, skip, eights, out)
        else:
            weighed_down_more(left, own, z, rival, count, weight, last, skip, eights, out)
    elif shared:
        down_shared(left, own, z, rival, count, weight, last, skip, eights, out)
    elif count == 1:
        down_1(left, own, z, rival, count, weight, last, skip, eights, out)
    elif count == 2:
        down_2(left, own, z, rival, count, weight, last, skip, eights, out)
    elif count == 3:
        down_3(left, own, z, rival, count, weight, last, skip, eights, out)
    else:
        down_more(left, own, z, rival, count, weight, last, skip, eights, out)


@inlined
def _squares(
    z: int, own: I64, rivals: int, shared: bool, weights: int, dim: int, plan: I64, left: F64, left_at: int, stack: F64,
    stack_at: int,
) -> None:  # fmt: skip
    """The sums of the winner's path and of its rivals, level by level, to stack[0], [L, 3]: see `square_vectors`.

    Args:
        z: Address of the row.
        own: Addresses of the winner's codewords, [L].
        rivals: Address of [L, L] addresses: those of the rival of each level, or only of its last codeword where it
            shares the winner's path.
        weights: Address of the weights of all levels, 0 for ones.
        plan: See `exact_squares.summation_plan`.
        left, stack: Room for a block, and for the sums of nested blocks; with their addresses.
    """
    levels, top = own.shape[0], 0
    for block in range(plan.shape[0]):
        start, length = plan[block, 0], plan[block, 1]
        eights, skip = length // 8, start * 4
        for k in range(length):
            left[k] = number_at(z + skip + k * 4)
        for level in range(levels):
            weight = weights + level * dim * 4 if weights else 0
            last = weights + (levels - 1) * dim * 4
            rival, count = rivals + level * levels * 8, 1 if shared else level + 1
            stack[top, level, 0] = stack[top, level, 1] = stack[top, level, 2] = 0.0
            if eights > 0:
                out = stack_at + (top * levels + level) * 24
                _step_down(left_at, own[level], z, rival, count, shared, weight, last, skip, eights, out)
            for k in range(eights * 8, length):
                at = skip + k * 4
                aside = left[k] if shared else number_at(z + at)
                for j in range(count):
                    aside -= number_at(address_at(rival + j * 8) + at)
                left[k] -= number_at(own[level] + at)
                after = at_last = left[k]
                if weights:
                    after, at_last = after * number_at(weight + at), after * number_at(last + at)
                    aside *= number_at(weight + at)
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
    words_at, dim, bytes_a_word = books.words.ctypes.data, z.shape[1], z.shape[1] * 4
    weights_at = books.weights.ctypes.data if books.weights.shape[0] else 0
    codes, rival, dearest = beam.codes, beam.rival, beam.dearest
    levels, measure = first.shape[0], reach.shape[0] > 0
    own, rivals = np.empty(levels, np.int64), np.empty((levels, levels), np.int64)
    left, sums = np.empty(_BLOCK), np.empty((64, levels, 3))
    rows_at, rivals_at, left_at, sums_at = z.ctypes.data, rivals.ctypes.data, left.ctypes.data, sums.ctypes.data
    for i in range(z.shape[0]):
        for level in range(levels):
            own[level] = words_at + (first[level] + codes[i, 0, level]) * bytes_a_word
            for j in range(level + 1):  # where there is no rival any codeword does
                word = first[j] + (rival[i, level, j] if rival[i, level, levels] else 0)
                rivals[level, 0 if shared else j] = words_at + word * bytes_a_word
        _squares(
            rows_at + i * bytes_a_word, own, rivals_at, shared, weights_at, dim, plan, left, left_at, sums, sums_at
        )
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
