"""What the reconstruction of a row adds to the totals of an assignment, eight numbers at a time, in numpy's order."""

from __future__ import annotations

from drq_spark.tokenizer.fast.llvm_vectors import (
    I64,
    WIDE,
    ZERO,
    Builder,
    Loop,
    Value,
    at,
    joined,
    load,
    number,
    store,
    wide,
)
from drq_spark.tokenizer.fast.machine_code import vector_function


@vector_function(
    "void", x="int64", rows="int64", count="int64", anchor="int64", error="int64", square="int64", offset="int64",
    skip="int64", eights="int64", out="int64",
)  # fmt: skip
def account(b: Builder, x: Value, rows: Value, count: Value, anchor: Value, error: Value, square: Value, offset: Value,
            skip: Value, eights: Value, out: Value) -> None:  # fmt: skip
    """One block of a row x, and its reconstruction y = 0 + rows[0] + rows[1] ..

    Writes (x - y)^2 to error and (x - anchor)^2 to square, adds x - anchor to offset, and leaves the block's sums of
    x^2, y^2 and x y in out, float64 [3].

    x, float32, begins at byte `skip`, as the `count` >= 1 rows do; anchor, error, square and offset, float64, at twice
    that.
    """
    loop = Loop(b, eights, [ZERO] * 3)
    here = b.add(skip, b.shl(loop.i, number(5)))
    there = b.shl(here, number(1))
    own = wide(b, b.add(x, here))
    inner = Loop(b, count, [ZERO])
    row = load(b, b.add(rows, b.shl(inner.i, number(3))), I64, 8)
    (made,) = inner.close([b.fadd(inner.carried[0], wide(b, b.add(row, here)))])
    gap = b.fsub(own, made)
    store(b, b.fmul(gap, gap), b.add(error, there), 8)
    away = b.fsub(own, load(b, b.add(anchor, there), WIDE, 8))
    store(b, b.fmul(away, away), b.add(square, there), 8)
    total = b.add(offset, there)
    store(b, b.fadd(load(b, total, WIDE, 8), away), total, 8)
    pairs = ((own, own), (made, made), (own, made))
    final = loop.close([b.fadd(sums, b.fmul(*pair)) for sums, pair in zip(loop.carried, pairs, strict=True)])
    for place, sums in enumerate(final):
        store(b, joined(b, sums), at(b, out, 8 * place), 8)
