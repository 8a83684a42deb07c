"""What is done with the scores of a row, 16 at a time: add up, rank, pull out the lowest, find those below a limit.

A key is a score whose lowest bits are the number of its vector, so that the minimum of a lane says where it stood: no
argmin and no second look are needed. The number takes the place of the lowest b bits of the score; key and score have
sign and exponent in common, so they differ by less than 2^(b-23) of either. Each of the 16 lanes keeps its three
lowest keys by minimum and maximum: `lists` are the addresses of 3 x 16 keys. NaN never enters a list, and a score of
infinity becomes a NaN: that is how codes that only fill up a vector stay out.

Addresses are int64; counts are of vectors of 16.
"""

from __future__ import annotations

from typing import Any

from drq_spark.tokenizer.fast.llvm_vectors import (
    I1,
    I16,
    I32,
    I64,
    INFINITE,
    KEYS,
    LINE,
    ONES,
    SCORES,
    Builder,
    Loop,
    Value,
    at,
    greater,
    half,
    lesser,
    load,
    number,
    splat,
    store,
)
from drq_spark.tokenizer.fast.machine_code import vector_function

DEPTH = 3  # keys that a lane keeps


def _lists(b: Builder, lists: Value, depth: int, fresh: Value | None = None) -> list[Value]:
    """The lanes' lowest keys so far; infinite where they are to begin anew."""
    found = [load(b, at(b, lists, LINE * place), SCORES) for place in range(depth)]
    return found if fresh is None else [b.select(fresh, INFINITE, low) for low in found]


def _sum(b: Builder, g: Value, rows: list[Value], here: Value) -> Value:
    """g + rows[0] + rows[1] .. at a place."""
    score = load(b, b.add(g, here), SCORES)
    for row in rows:
        score = b.fadd(score, load(b, b.add(row, here), SCORES))
    return score


def _entered(b: Builder, key: Value, lists: list[Value]) -> list[Value]:
    """The lists after a key has come."""
    new = []
    for low in lists:
        new.append(lesser(b, key, low))
        key = greater(b, key, low)
    return new


def _key(b: Builder, score: Value, keep: Value, vector: Value) -> Value:
    return b.bitcast(b.or_(b.and_(b.bitcast(score, KEYS), keep), vector), SCORES)


def _adder(count: int | None) -> Any:
    """Scores of one path, dst = g + rows[0] + rows[1] .. + base, and its keys into the lists.

    Arguments: dst and g, addresses of float32; rows, the address of `count` addresses of float32 (None: of `more`);
    base; first, the number of the path's first vector (0: the lists begin anew); mask, the bits of a score that stay.
    """

    @vector_function(
        "void", dst="int64", g="int64", rows="int64", more="int64", base="float32", first="int32", mask="int32",
        vectors="int64", lists="int64",
    )  # fmt: skip
    def add(b: Builder, dst: Value, g: Value, rows: Value, more: Value, base: Value, first: Value, mask: Value,
            vectors: Value, lists: Value) -> None:  # fmt: skip
        shift, keep = splat(b, base, SCORES), splat(b, mask, KEYS)
        low = _lists(b, lists, DEPTH, fresh=b.icmp_signed("==", first, number(0, I32)))
        known = [load(b, at(b, rows, 8 * place), I64, 8) for place in range(count or 0)]
        loop = Loop(b, vectors, [*low, splat(b, first, KEYS)])
        here = b.shl(loop.i, number(6))
        score = _sum(b, g, known, here)
        if count is None:
            inner = Loop(b, more, [score])
            row = load(b, b.add(rows, b.shl(inner.i, number(3))), I64, 8)
            (score,) = inner.close([b.fadd(inner.carried[0], load(b, b.add(row, here), SCORES))])
        score = b.fadd(score, shift)
        store(b, score, b.add(dst, here))
        *lowest, vector = loop.carried
        entered = _entered(b, _key(b, score, keep, vector), lowest)
        after = loop.close([*entered, b.add(vector, ONES)])
        for place, value in enumerate(after[:-1]):
            store(b, value, at(b, lists, LINE * place))

    return add


def _ranker(count: int, depth: int) -> Any:
    """As `_adder` for the only path of a row: base 0, scores not kept, and the lanes' `depth` lowest keys alone."""

    @vector_function("void", g="int64", rows="int64", first="int32", mask="int32", vectors="int64", lists="int64")
    def rank(b: Builder, g: Value, rows: Value, first: Value, mask: Value, vectors: Value, lists: Value) -> None:
        keep = splat(b, mask, KEYS)
        low = _lists(b, lists, depth, fresh=b.icmp_signed("==", first, number(0, I32)))
        known = [load(b, at(b, rows, 8 * place), I64, 8) for place in range(count)]
        loop = Loop(b, vectors, [*low, splat(b, first, KEYS)])
        *lowest, vector = loop.carried
        key = _key(b, _sum(b, g, known, b.shl(loop.i, number(6))), keep, vector)
        after = loop.close([*_entered(b, key, lowest), b.add(vector, ONES)])
        for place, value in enumerate([*after[:-1], *[INFINITE] * (DEPTH - depth)]):
            store(b, value, at(b, lists, LINE * place))

    return rank


add_1, add_2, add_3, add_more = (_adder(count) for count in (1, 2, 3, None))
rank_two_1, rank_two_2, rank_two_3 = (_ranker(count, 2) for count in (1, 2, 3))
rank_three_1, rank_three_2, rank_three_3 = (_ranker(count, 3) for count in (1, 2, 3))


@vector_function("int64", lists="int64", many="int64", mask="int32", places="int64", keys="int64")
def pull(b: Builder, lists: Value, many: Value, mask: Value, places: Value, keys: Value) -> Value:
    """The `many` lowest keys, lowest first: to places (int32, 16 * vector + lane) and keys (float32).

    Returns 1 where the list of a lane ran out, so that a key may be missing, plus 2 where two lanes had equal keys.
    """
    loop = Loop(b, many, [*_lists(b, lists, DEPTH), number(0, I16)])
    *low, twice = loop.carried
    lowest = low[0]
    while lowest.type.count > 1:
        lowest = lesser(b, half(b, lowest, 0), half(b, lowest, 1))
    key = b.extract_element(lowest, number(0, I32))
    taken = b.fcmp_ordered("==", low[0], splat(b, key, SCORES))
    lanes = b.bitcast(taken, I16)
    twice = b.or_(twice, b.and_(lanes, b.sub(lanes, number(1, I16))))
    lane = b.zext(_lowest_bit(b, lanes), I32)
    vector = b.and_(b.bitcast(key, I32), b.xor(mask, number(-1, I32)))
    here = b.shl(loop.i, number(2))
    store(b, b.add(b.shl(vector, number(4, I32)), lane), b.add(places, here))
    store(b, key, b.add(keys, here))
    risen = [b.select(taken, after, value) for value, after in zip(low, [*low[1:], INFINITE], strict=True)]
    *low, twice = loop.close([*risen, twice])
    none = number(0, I16)
    drained = b.icmp_unsigned("!=", b.bitcast(b.fcmp_ordered("==", low[0], INFINITE), I16), none)
    equal = b.icmp_unsigned("!=", twice, none)
    return b.or_(b.zext(drained, I64), b.shl(b.zext(equal, I64), number(1)))


@vector_function("int64", scores="int64", vectors="int64", limit="float32", places="int64")
def not_above(b: Builder, scores: Value, vectors: Value, limit: Value, places: Value) -> Value:
    """The places (int32) of all scores that are not > limit, NaN included; returns how many."""
    highest = splat(b, limit, SCORES)
    outer = Loop(b, vectors, [number(0)])
    score = load(b, b.add(scores, b.shl(outer.i, number(6))), SCORES)
    mask = b.bitcast(b.fcmp_unordered("<=", score, highest), I16)
    head, some, after = b.block, b.append_basic_block("some"), b.append_basic_block("after")
    b.cbranch(b.icmp_unsigned("!=", mask, number(0, I16)), some, after)
    b.position_at_end(some)  # once for every lane that is set
    lanes, count = b.phi(I16), b.phi(I64)
    lanes.add_incoming(mask, head)
    count.add_incoming(outer.carried[0], head)
    lane = b.zext(_lowest_bit(b, lanes), I64)
    place = b.trunc(b.add(b.shl(outer.i, number(4)), lane), I32)
    store(b, place, b.add(places, b.shl(count, number(2))))
    fewer, more = b.and_(lanes, b.sub(lanes, number(1, I16))), b.add(count, number(1))
    lanes.add_incoming(fewer, some)
    count.add_incoming(more, some)
    b.cbranch(b.icmp_unsigned("!=", fewer, number(0, I16)), some, after)
    b.position_at_end(after)
    total = b.phi(I64)
    total.add_incoming(outer.carried[0], head)
    total.add_incoming(more, some)
    return outer.close([total])[0]


def _lowest_bit(b: Builder, lanes: Value) -> Value:
    """The number of the lowest bit that is set; one is."""
    return b.cttz(lanes, number(1, I1))
