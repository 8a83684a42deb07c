"""Float64 costs of whole paths, to the bit those of numpy: what decides where float32 cannot tell."""

from __future__ import annotations

import numpy as np

from drq_spark.arrays import F64, I32, I64
from drq_spark.tokenizer.fast.machine_code import inlined
from drq_spark.tokenizer.fast.pass_arrays import Books
from drq_spark.tokenizer.fast.square_vectors import (
    address_at,
    number_at,
    square_1,
    square_2,
    square_3,
    square_more,
    weighed_1,
    weighed_2,
    weighed_3,
    weighed_more,
)

_BLOCK = 128  # numbers that numpy adds up without halving


def summation_plan(dim: int) -> I64:
    """Blocks in which numpy adds up `dim` numbers, int64 [m, 3]: start, length, how many sums to join after it.

    Numpy halves what is longer than 128 (the first half rounded down to a multiple of 8) and adds the sums of the
    halves (pairwise summation, Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 4.2).
    """
    blocks: list[list[int]] = []

    def halve(start: int, length: int) -> None:
        if length <= _BLOCK:
            blocks.append([start, length, 0])
            return
        half = length // 2 - length // 2 % 8
        halve(start, half)
        halve(start + half, length - half)
        blocks[-1][2] += 1

    halve(0, dim)
    return np.array(blocks, np.int64)


@inlined
def _block_square(z: int, path: int, count: int, weight: int, skip: int, eights: int) -> float:
    """The squares of one block, see `square_vectors`."""
    if weight:
        if count == 1:
            return weighed_1(z, path, count, weight, skip, eights)  # type: ignore[no-any-return]
        if count == 2:
            return weighed_2(z, path, count, weight, skip, eights)  # type: ignore[no-any-return]
        if count == 3:
            return weighed_3(z, path, count, weight, skip, eights)  # type: ignore[no-any-return]
        return weighed_more(z, path, count, weight, skip, eights)  # type: ignore[no-any-return]
    if count == 1:
        return square_1(z, path, count, weight, skip, eights)  # type: ignore[no-any-return]
    if count == 2:
        return square_2(z, path, count, weight, skip, eights)  # type: ignore[no-any-return]
    if count == 3:
        return square_3(z, path, count, weight, skip, eights)  # type: ignore[no-any-return]
    return square_more(z, path, count, weight, skip, eights)  # type: ignore[no-any-return]


@inlined
def path_square(z: int, path: int, count: int, weight: int, plan: I64, stack: F64) -> float:
    """||w (z - c^1 - c^2 .. )||^2 after `count` codewords.

    Args:
        z: Address of the row. Handing an array on, or asking it for its address, costs as much as a short sum.
        path: Address of the addresses of the codewords.
        weight: Address of w, 0 for ones.
        plan: See `summation_plan`.
        stack: Room for as many sums as blocks of the plan are nested.
    """
    top = 0
    for block in range(plan.shape[0]):
        start, length = plan[block, 0], plan[block, 1]
        eights, total = length // 8, 0.0
        if eights > 0:
            total = _block_square(z, path, count, weight, start * 4, eights)
        for k in range(start + eights * 8, start + length):
            left = number_at(z + k * 4)
            for j in range(count):
                left -= number_at(address_at(path + j * 8) + k * 4)
            if weight:
                left *= number_at(weight + k * 4)
            total += left * left
        stack[top] = total
        top += 1
        for _ in range(plan[block, 2]):
            top -= 1
            stack[top - 1] += stack[top]
    return float(stack[0])


@inlined
def decide(
    z: int, books: Books, codes: I32, paid: F64, level: int, padded: int, size: int, found: I32, count: int, cost: F64,
    certain: int, exact: int, chosen: I32, path: I64, stack: F64,
) -> None:  # fmt: skip
    """The `exact` cheapest of the `found` places (path * padded + code) by float64 cost, ties by place, into chosen.

    z: address of the row; codes [B, L] and paid [B]: those of its paths, see `Beam`. The first `count` of found are
    looked at; they and `cost` (room for as many) are overwritten. The first `certain` of chosen stay: they are known to
    be cheaper than what the `exact` need to be told from.
    """
    bytes_a_word = books.words.shape[1] * 4
    words_at, path_at = books.words.ctypes.data, path.ctypes.data
    weight = books.weights.ctypes.data + level * bytes_a_word if books.weights.shape[0] else 0
    real = 0
    for h in range(count):
        p, code = found[h] // padded, found[h] % padded
        known = False
        for w in range(certain):
            known = known or chosen[w] == found[h]
        if code < size and not known:
            for j in range(level):
                path[j] = words_at + (books.first[j] + codes[p, j]) * bytes_a_word
            path[level] = words_at + (books.first[level] + code) * bytes_a_word
            square = path_square(z, path_at, level + 1, weight, books.plan, stack)
            found[real], cost[real] = found[h], (square + np.float64(books.price[books.first[level] + code])) + paid[p]
            real += 1
    for w in range(certain, exact):
        low = -1
        for h in range(real):
            if found[h] >= 0 and (low < 0 or cost[h] < cost[low] or (cost[h] == cost[low] and found[h] < found[low])):
                low = h
        chosen[w] = found[low]
        found[low] = -1
