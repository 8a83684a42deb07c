"""The float64 sums that margins and residual squares need, of a winner and its rivals, in numpy's order of a block.

Of each level they are, with r what the winner has left above it: ||w (r - own)||^2, ||w_L (r - own)||^2 (w_L: weights
of the last level), and ||w (rest of the rival)||^2. The rival is the cheapest extension that the level dropped: where
one path is kept it shares the winner's path above, else it has a path of its own, and its rest is made from z. Without
weights the second sum is the first.

Tokenizers of three or four levels take one loop with all sums in registers, half the price of a loop for each level.
Arguments are addresses (int64) as in `square_vectors`; all rows begin at byte `skip`.
"""

from __future__ import annotations

from typing import Any

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
from drq_spark.tokenizer.fast.square_vectors import added


def _less(b: Builder, value: Value, rows: list[Value], here: Value) -> Value:
    """value - rows[0] - rows[1] .., codeword by codeword."""
    for row in rows:
        value = b.fsub(value, wide(b, b.add(row, here)))
    return value


def _store_sums(b: Builder, sums: tuple[Value, Value | None, Value], out: Value) -> None:
    """Three sums to an address, joined; the first again for the second where there is none."""
    square = joined(b, sums[0])
    store(b, square, out, 8)
    store(b, square if sums[1] is None else joined(b, sums[1]), at(b, out, 8), 8)
    store(b, joined(b, sums[2]), at(b, out, 16), 8)


def _chain(levels: int, weighed: bool, shared: bool) -> Any:
    """All sums of a row in one loop, to `out`, float64 [L, 3].

    Arguments: z, address of float32; own, the address of L addresses; rivals, that of [L, L] addresses (of a rival that
    shares the path above only the first counts); weights, address of float32 [L, d] of `stride` bytes a row.
    """

    @vector_function(
        "void", z="int64", own="int64", rivals="int64", weights="int64", stride="int64", skip="int64", eights="int64",
        out="int64",
    )  # fmt: skip
    def chain(b: Builder, z: Value, own: Value, rivals: Value, weights: Value, stride: Value, skip: Value,
              eights: Value, out: Value) -> None:  # fmt: skip
        words = [load(b, at(b, own, 8 * level), I64, 8) for level in range(levels)]
        others = [
            [load(b, at(b, rivals, 8 * (levels * level + j)), I64, 8) for j in range(1 if shared else level + 1)]
            for level in range(levels)
        ]
        metrics = [b.add(weights, b.mul(stride, number(level))) for level in range(levels)] if weighed else []
        count = 3 if weighed else 2
        loop = Loop(b, eights, [ZERO] * (count * levels))
        here = b.add(skip, b.shl(loop.i, number(5)))
        start = left = wide(b, b.add(z, here))
        last = wide(b, b.add(metrics[-1], here)) if weighed else None
        new = []
        for level in range(levels):
            metric = wide(b, b.add(metrics[level], here)) if weighed else None
            rest = _less(b, left if shared else start, others[level], here)
            left = _less(b, left, [words[level]], here)
            sums = loop.carried[count * level : count * (level + 1)]
            new += [added(b, sums[0], left, metric), added(b, sums[1], rest, metric)]
            new += [added(b, sums[2], left, last)] if weighed else []
        final = loop.close(new)
        for level in range(levels):
            of_level = final[count * level : count * (level + 1)]
            _store_sums(b, (of_level[0], of_level[2] if weighed else None, of_level[1]), at(b, out, 24 * level))

    return chain


chain_3, chain_4 = (_chain(levels, False, False) for levels in (3, 4))
shared_chain_3, shared_chain_4 = (_chain(levels, False, True) for levels in (3, 4))
weighed_chain_3, weighed_chain_4 = (_chain(levels, True, False) for levels in (3, 4))
weighed_shared_chain_3, weighed_shared_chain_4 = (_chain(levels, True, True) for levels in (3, 4))


def _step_down(weighed: bool) -> Any:
    """The sums of one level of any number of them, to `out`, float64 [3]; r - own goes into r.

    Arguments: r, address of float64; own, from, weight, last, addresses of float32 (`start`: what the rival's rest is
    made from, float64 like r); rows, the address of `more` addresses that are taken from it.
    """

    @vector_function(
        "void", r="int64", own="int64", start="int64", rows="int64", more="int64", weight="int64", last="int64",
        skip="int64", eights="int64", out="int64",
    )  # fmt: skip
    def down(b: Builder, r: Value, own: Value, start: Value, rows: Value, more: Value, weight: Value, last: Value,
             skip: Value, eights: Value, out: Value) -> None:  # fmt: skip
        loop = Loop(b, eights, [ZERO] * 3)
        here, place = b.add(skip, b.shl(loop.i, number(5))), b.shl(loop.i, number(6))
        rest, left = load(b, b.add(start, place), WIDE, 8), load(b, b.add(r, place), WIDE, 8)
        left = _less(b, left, [own], here)
        inner = Loop(b, more, [rest])
        row = load(b, b.add(rows, b.shl(inner.i, number(3))), I64, 8)
        (rest,) = inner.close([_less(b, inner.carried[0], [row], here)])
        store(b, left, b.add(r, place), 8)
        metric = wide(b, b.add(weight, here)) if weighed else None
        total, at_last, of_rival = loop.carried
        if weighed:
            at_last = added(b, at_last, left, wide(b, b.add(last, here)))
        final = loop.close([added(b, total, left, metric), at_last, added(b, of_rival, rest, metric)])
        _store_sums(b, (final[0], final[1] if weighed else None, final[2]), out)

    return down


down, weighed_down = (_step_down(weighed) for weighed in (False, True))
