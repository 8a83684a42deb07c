"""Float64 sums of squares, eight numbers at a time, in the order in which numpy adds up a block of up to 128.

Numpy keeps eight accumulators, one for each place modulo 8, and joins them at the end (`joined`). A difference is
subtracted codeword by codeword, then weighed, then squared, then added: each operation rounds once, as in numpy.

All arguments are addresses (int64) but the counts; `eights` is a number of vectors of eight.
"""

from __future__ import annotations

from typing import Any

from drq_spark.tokenizer.fast.llvm_vectors import (
    F32,
    F64,
    I64,
    NARROW,
    SCORES,
    WIDE,
    ZERO,
    Builder,
    Loop,
    Value,
    at,
    half,
    joined,
    load,
    number,
    store,
    wide,
)
from drq_spark.tokenizer.fast.machine_code import vector_function


def added(b: Builder, total: Value, difference: Value, weight: Value | None) -> Value:
    """total + (difference * weight)^2."""
    weighed = difference if weight is None else b.fmul(difference, weight)
    return b.fadd(total, b.fmul(weighed, weighed))


def _square_of_path(count: int | None, weighed: bool) -> Any:
    """||weight (z - rows[0] - rows[1] ..)||^2 over 8 * eights numbers from byte `skip` of each row on.

    Arguments: z and weight, addresses of float32; rows, the address of `count` addresses of float32 (None: of `more`).
    """

    @vector_function("float64", z="int64", rows="int64", more="int64", weight="int64", skip="int64", eights="int64")
    def square(b: Builder, z: Value, rows: Value, more: Value, weight: Value, skip: Value, eights: Value) -> Value:
        known = [load(b, at(b, rows, 8 * place), I64, 8) for place in range(count or 0)]
        loop = Loop(b, eights, [ZERO])
        here = b.add(skip, b.shl(loop.i, number(5)))
        left = wide(b, b.add(z, here))
        for row in known:
            left = b.fsub(left, wide(b, b.add(row, here)))
        if count is None:
            inner = Loop(b, more, [left])
            row = load(b, b.add(rows, b.shl(inner.i, number(3))), I64, 8)
            (left,) = inner.close([b.fsub(inner.carried[0], wide(b, b.add(row, here)))])
        (total,) = loop.close([added(b, loop.carried[0], left, wide(b, b.add(weight, here)) if weighed else None)])
        return joined(b, total)

    return square


square_1, square_2, square_3, square_more = (_square_of_path(count, False) for count in (1, 2, 3, None))
weighed_1, weighed_2, weighed_3, weighed_more = (_square_of_path(count, True) for count in (1, 2, 3, None))


@vector_function("float64", address="int64")
def number_at(b: Builder, address: Value) -> Value:
    """The float32 number at an address, as float64."""
    return b.fpext(load(b, address, F32), F64)


@vector_function("int64", address="int64")
def address_at(b: Builder, address: Value) -> Value:
    """The address that lies at an address."""
    return load(b, address, I64, 8)


@vector_function("float64", z="int64", centre="int64", out="int64", sixteens="int64")
def centre_16(b: Builder, z: Value, centre: Value, out: Value, sixteens: Value) -> Value:
    """out = z - centre, float32, for 16 * sixteens numbers; returns the sum of squares of what it has written."""
    loop = Loop(b, sixteens, [ZERO, ZERO], may_skip=True)
    here = b.shl(loop.i, number(6))
    y = b.fsub(load(b, b.add(z, here), SCORES), load(b, b.add(centre, here), SCORES))
    store(b, y, b.add(out, here))
    parts = [b.fpext(half(b, y, which), WIDE) for which in (0, 1)]
    low, high = loop.close([added(b, total, part, None) for total, part in zip(loop.carried, parts, strict=True)])
    return joined(b, b.fadd(low, high))


@vector_function("float64", z="int64", rows="int64", count="int64", out="int64", sixteens="int64")
def residual_16(b: Builder, z: Value, rows: Value, count: Value, out: Value, sixteens: Value) -> Value:
    """out = z - rows[0] - rows[1] .., made in float64 and rounded once to float32, for 16 * sixteens numbers.

    Returns the sum of squares of the float64 numbers. rows: address of `count` >= 1 addresses of float32.
    """
    loop = Loop(b, sixteens, [ZERO, ZERO], may_skip=True)
    here = b.shl(loop.i, number(6))
    z_16 = load(b, b.add(z, here), SCORES)
    inner = Loop(b, count, [b.fpext(half(b, z_16, which), WIDE) for which in (0, 1)])
    row = load(b, b.add(rows, b.shl(inner.i, number(3))), I64, 8)
    c = load(b, b.add(row, here), SCORES)
    left = inner.close([b.fsub(inner.carried[which], b.fpext(half(b, c, which), WIDE)) for which in (0, 1)])
    for which in (0, 1):
        store(b, b.fptrunc(left[which], NARROW), b.add(out, b.add(here, number(32 * which))))
    low, high = loop.close([added(b, total, part, None) for total, part in zip(loop.carried, left, strict=True)])
    return joined(b, b.fadd(low, high))
