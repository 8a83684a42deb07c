"""The float64 passes over rows and their reconstructions in one: `reconstruction_sums.sums_in_numpy`, to the bit."""

from __future__ import annotations

import numpy as np

from drq_spark.arrays import F32, F64, I32, I64
from drq_spark.tokenizer.fast.account_vectors import account
from drq_spark.tokenizer.fast.machine_code import compiled
from drq_spark.tokenizer.fast.pass_arrays import ROWS
from drq_spark.tokenizer.fast.square_vectors import address_at, number_at


@compiled(
    "void", ROWS, "float32[:, ::1]", "int64[::1]", "int32[:, ::1]", "float64[::1]", "int64[:, ::1]", "float64[:, ::1]",
    "float64[:, ::1]", "float64[::1]", "float64[:, ::1]",
)  # fmt: skip
def account_rows(
    x: F32, words: F32, first: I64, codes: I32, anchor: F64, plan: I64, error: F64, square: F64, offset: F64,
    products: F64,
) -> None:  # fmt: skip
    """Differences of rows x, float32 [n, d], from their reconstructions and from an anchor, float64 [d].

    Args:
        words, first, codes: Decode tables one after the other, where each begins, and the SIDs, [n, L].
        plan: See `exact_squares.summation_plan`.
        error, square: Become (x - y)^2 and (x - anchor)^2, [n, d].
        offset: The sum of x - anchor is added to it row by row, [d].
        products: Become the sums of x^2, y^2 and x y of each row, [n, 3].
    """
    n, dim = x.shape
    levels, stride = first.shape[0], dim * 4
    rows, stack = np.empty(levels, np.int64), np.empty((64, 3))
    x_at, words_at, rows_at, stack_at = x.ctypes.data, words.ctypes.data, rows.ctypes.data, stack.ctypes.data
    anchor_at, error_at, square_at, offset_at = (
        anchor.ctypes.data, error.ctypes.data, square.ctypes.data, offset.ctypes.data
    )  # fmt: skip
    for i in range(n):
        for level in range(levels):
            rows[level] = words_at + (first[level] + codes[i, level]) * stride
        top = 0
        for block in range(plan.shape[0]):
            start, length = plan[block, 0], plan[block, 1]
            eights = length // 8
            stack[top, 0] = stack[top, 1] = stack[top, 2] = 0.0
            if eights > 0:
                account(
                    x_at + i * stride, rows_at, levels, anchor_at, error_at + i * stride * 2,
                    square_at + i * stride * 2, offset_at, start * 4, eights, stack_at + top * 24,
                )  # fmt: skip
            for k in range(start + eights * 8, start + length):
                own, made = np.float64(x[i, k]), 0.0
                for level in range(levels):
                    made += number_at(address_at(rows_at + level * 8) + k * 4)
                gap, away = own - made, own - anchor[k]
                error[i, k], square[i, k] = gap * gap, away * away
                offset[k] += away
                stack[top, 0] += own * own
                stack[top, 1] += made * made
                stack[top, 2] += own * made
            top += 1
            for _ in range(plan[block, 2]):
                top -= 1
                for j in range(3):
                    stack[top - 1, j] += stack[top, j]
        for j in range(3):
            products[i, j] = stack[0, j]
