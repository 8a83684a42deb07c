"""LLVM's vectors written out: small pieces of which `score_vectors` and `square_vectors` are made.

LLVM finds the vectors in plain loops only sometimes (the lowest of 256 scores took 141 to 183 ns that way, 25 to 30
like this). Written out, the operations and their order are also the same on every processor: LLVM splits a vector
that the processor does not have into shorter ones.

`Builder` is llvmlite's IRBuilder: each call writes one instruction and returns its value. Values that code passes
between instructions are named by the kind of vector they are: 16 float32 scores, 8 float64 numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

Builder = Any
Value = Any
Kind = Any

F32, F64 = ir.FloatType(), ir.DoubleType()
I1, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 16, 32, 64))
SCORES, KEYS = ir.VectorType(F32, 16), ir.VectorType(I32, 16)
NARROW, WIDE = ir.VectorType(F32, 8), ir.VectorType(F64, 8)
INFINITE = ir.Constant(SCORES, [float("inf")] * 16)
ZERO = ir.Constant(WIDE, [0.0] * 8)
ONES = ir.Constant(KEYS, [1] * 16)
LINE = 64  # bytes of 16 scores


def number(value: int, kind: Kind = I64) -> Value:
    """An integer constant."""
    return ir.Constant(kind, value)


def at(b: Builder, address: Value, offset: int) -> Value:
    """An address some bytes further on."""
    return b.add(address, number(offset)) if offset else address


def load(b: Builder, address: Value, kind: Kind, align: int = 4) -> Value:
    """What lies at an address."""
    value = b.load(b.inttoptr(address, kind.as_pointer()), typ=kind)
    value.align = align
    return value


def store(b: Builder, value: Value, address: Value, align: int = 4) -> None:
    """Write a value to an address."""
    b.store(value, b.inttoptr(address, value.type.as_pointer())).align = align


def wide(b: Builder, address: Value) -> Value:
    """Eight float32 numbers as float64."""
    return b.fpext(load(b, address, NARROW), WIDE)


def splat(b: Builder, value: Value, kind: Kind) -> Value:
    """One number in every lane."""
    one = b.insert_element(ir.Constant(kind, ir.Undefined), value, number(0, I32))
    places = ir.Constant(ir.VectorType(I32, kind.count), [0] * kind.count)
    return b.shuffle_vector(one, ir.Constant(kind, ir.Undefined), places)


def half(b: Builder, value: Value, which: int) -> Value:
    """The lower or the upper half of a vector."""
    count = value.type.count // 2
    places = ir.Constant(ir.VectorType(I32, count), list(range(which * count, (which + 1) * count)))
    return b.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), places)


def lesser(b: Builder, x: Value, y: Value) -> Value:
    """x where x < y, else y: y where one is NaN."""
    return b.select(b.fcmp_ordered("<", x, y), x, y)


def greater(b: Builder, x: Value, y: Value) -> Value:
    """The other one of `lesser`."""
    return b.select(b.fcmp_ordered("<", x, y), y, x)


def joined(b: Builder, sums: Value) -> Value:
    """Eight sums added up as numpy joins the accumulators of a block: ((0+1)+(2+3))+((4+5)+(6+7))."""
    part = [b.extract_element(sums, number(lane, I32)) for lane in range(8)]
    low = b.fadd(b.fadd(part[0], part[1]), b.fadd(part[2], part[3]))
    return b.fadd(low, b.fadd(b.fadd(part[4], part[5]), b.fadd(part[6], part[7])))


class Loop:
    """for i in range(count), with values that are carried from one round to the next.

    What is written between making it and `close` is the body; `i` and `carried` are for it.

    Args:
        b: The builder.
        count: Rounds, int64; at least one unless it `may_skip`.
        carried: What the values are at first.
        may_skip: Whether the count may be 0.
    """

    def __init__(self, b: Builder, count: Value, carried: Sequence[Value], may_skip: bool = False) -> None:
        self._b, self._count, self._before, self._start, self._may_skip = b, count, b.block, carried, may_skip
        self._body, self._end = b.append_basic_block("body"), b.append_basic_block("end")
        if may_skip:
            b.cbranch(b.icmp_signed("<", number(0), count), self._body, self._end)
        else:
            b.branch(self._body)
        b.position_at_end(self._body)
        self.i: Value = b.phi(I64)
        self.i.add_incoming(number(0), self._before)
        self.carried: list[Value] = [b.phi(value.type) for value in carried]
        for phi, value in zip(self.carried, carried, strict=True):
            phi.add_incoming(value, self._before)

    def close(self, new: Sequence[Value]) -> Sequence[Value]:
        """End the body, with what the values are after a round; returns what they are after the last one."""
        b, last = self._b, self._b.block
        following = b.add(self.i, number(1))
        self.i.add_incoming(following, last)
        for phi, value in zip(self.carried, new, strict=True):
            phi.add_incoming(value, last)
        b.cbranch(b.icmp_signed("<", following, self._count), self._body, self._end)
        b.position_at_end(self._end)
        if not self._may_skip:
            return new
        after = []
        for old, value in zip(self._start, new, strict=True):
            phi = b.phi(value.type)
            phi.add_incoming(old, self._before)
            phi.add_incoming(value, last)
            after.append(phi)
        return after
