"""Products of rows and codewords that are rounded to few bits: for `low_precision.py`, which measures them.

Rows and codewords each have a scale of their own; sums are int32 or float32. int16 is scaled so that no sum can
overflow: ||row|| and ||codeword|| are at most 46,000, so by Cauchy-Schwarz sums, and parts of them, stay below 2^31.
What rounding took is known for every row y and codeword g, and with it the bound

    |y . g - yq . gq| <= ||y - yq|| ||g|| + ||yq|| ||g - gq||.

AVX-512 with VNNI or BF16, and d by 16 and codes by 64, alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numpy.typing import NDArray

from drq_spark.arrays import F32
from drq_spark.tokenizer.fast import llvm_vectors as v
from drq_spark.tokenizer.fast.machine_code import vector_function
from drq_spark.tokenizer.fast.pass_arrays import aligned

HIGH, WIDE = 6, 4  # a block of the product: rows, and vectors of 16 codes
LONGEST = 46_000.0
_WORDS = v.KEYS  # 16 words of 32 bits: one of each of 16 codewords


class _Bfloat(ir.types.Type):
    """LLVM's bfloat, which llvmlite does not name."""

    def _to_string(self) -> str:
        return "bfloat"


@dataclass(frozen=True)
class Form:
    """A form of number: of the processor's instruction, how many are in 32 bits, and the largest integer."""

    name: str
    feature: str
    instruction: str
    packed: int
    largest: int

    @property
    def is_float(self) -> bool:
        """Whether it is bfloat16."""
        return self.largest == 0

    def usual_loss(self, dim: int) -> float:
        """About ||row - rounded row|| / ||row|| of normal numbers."""
        if self.is_float:
            return 0.0017
        return 0.0075 if self.packed == 4 else 1.02 * (dim / 12) ** 0.5 / LONGEST


FORMS = [
    Form("int8", "avx512vnni", "llvm.x86.avx512.vpdpbusd.512", 4, 127),
    Form("int16", "avx512vnni", "llvm.x86.avx512.vpdpwssd.512", 2, 32_767),
    Form("bf16", "avx512bf16", "llvm.x86.avx512bf16.dpbf16ps.512", 2, 0),
]


def _declared(b: v.Builder, name: str, result: v.Kind, *kinds: v.Kind) -> Any:
    return b.module.globals.get(name) or ir.Function(b.module, ir.FunctionType(result, kinds), name)


def _sixteen(value: int) -> Any:
    return ir.Constant(_WORDS, [value] * 16)


def multiplied(form: Form) -> Any:
    """Compiled: float32 [n, K] from words [n, s], operand [K / 64, s, 64], what sums begin with, scales and rows."""
    sums, words = (v.SCORES, ir.VectorType(_Bfloat(), 32)) if form.is_float else (_WORDS, _WORDS)

    @vector_function("void", rows="int64", steps="int64", operand="int64", first="int64", scale="int64",
                     by_row="int64", out="int64", line="int64")  # fmt: skip
    def block(b, rows, steps, operand, first, scale, by_row, out, line):
        multiply_add = _declared(b, form.instruction, sums, sums, words, words)
        loop = v.Loop(b, steps, [v.load(b, v.at(b, first, 64 * at), sums) for at in range(WIDE)] * HIGH)
        here, total = b.add(operand, b.mul(loop.i, v.number(64 * WIDE))), list(loop.carried)
        codes = [b.bitcast(v.load(b, v.at(b, here, 64 * at), _WORDS, 64), words) for at in range(WIDE)]
        for row in range(HIGH):
            place = b.add(rows, b.shl(b.add(loop.i, b.mul(steps, v.number(row))), v.number(2)))
            word = b.bitcast(v.splat(b, v.load(b, place, v.I32), _WORDS), words)
            for at in range(WIDE):
                total[WIDE * row + at] = b.call(multiply_add, [total[WIDE * row + at], word, codes[at]])
        total = loop.close(total)
        for row in range(HIGH):
            unit = v.splat(b, v.load(b, v.at(b, by_row, 4 * row), v.F32), v.SCORES)
            for at in range(WIDE):
                value = total[WIDE * row + at]
                value = value if form.is_float else b.sitofp(value, v.SCORES)
                value = b.fmul(value, b.fmul(unit, v.load(b, v.at(b, scale, 64 * at), v.SCORES)))
                v.store(b, value, b.add(out, b.add(b.mul(line, v.number(row)), v.number(64 * at))))

    @numba.njit(nogil=True)
    def product(rows, operand, first, scale, by_row, out):
        n, steps, width, codes = rows.shape[0], rows.shape[1], out.shape[1], 16 * WIDE
        rows_at, operand_at, first_at = rows.ctypes.data, operand.ctypes.data, first.ctypes.data
        scale_at, by_row_at, out_at = scale.ctypes.data, by_row.ctypes.data, out.ctypes.data
        for k in range(0, width, codes):
            for start in range(0, n, HIGH):
                i = min(start, n - HIGH)  # the last block may do rows twice
                block(rows_at + i * steps * 4, steps, operand_at + k * steps * 4, first_at + k * 4, scale_at + k * 4,
                      by_row_at + i * 4, out_at + (i * width + k) * 4, width * 4)  # fmt: skip

    return product


@vector_function("float32", row="int64", vectors="int64", squares="boolean")
def extent(b, row, vectors, squares):
    """The largest |number| of a row of float32, or the sum of its squares."""
    loop = v.Loop(b, vectors, [ir.Constant(v.SCORES, [0.0] * 16)])
    x = v.load(b, b.add(row, b.shl(loop.i, v.number(6))), v.SCORES)
    size = b.bitcast(b.and_(b.bitcast(x, _WORDS), _sixteen(0x7FFFFFFF)), v.SCORES)
    (value,) = loop.close(
        [b.select(squares, b.fadd(loop.carried[0], b.fmul(x, x)), v.greater(b, loop.carried[0], size))]
    )
    while value.type.count > 1:
        one, other = v.half(b, value, 0), v.half(b, value, 1)
        value = b.select(squares, b.fadd(one, other), v.greater(b, one, other))
    return b.extract_element(value, v.number(0, v.I32))


def narrowed(form: Form) -> Any:
    """Compiled: float32 rows [n, d] to words [n, s], the unit of each row, and ||row - rounded row||, at least."""
    bits = 32 // form.packed

    @vector_function("float32", row="int64", vectors="int64", scale="float32", to="int64")
    def round_row(b, row, vectors, scale, to):
        loop = v.Loop(b, vectors, [ir.Constant(v.SCORES, [0.0] * 16)])
        x = b.fmul(v.load(b, b.add(row, b.shl(loop.i, v.number(6))), v.SCORES), v.splat(b, scale, v.SCORES))
        if form.is_float:
            word = b.bitcast(x, _WORDS)
            even = b.and_(b.lshr(word, _sixteen(16)), v.ONES)
            kept = b.lshr(b.add(b.add(word, even), _sixteen(0x7FFF)), _sixteen(16))
            back = b.bitcast(b.shl(kept, _sixteen(16)), v.SCORES)
        else:
            name = "llvm.x86.avx512.mask.cvtps2dq.512"
            nearest = _declared(b, name, _WORDS, v.SCORES, _WORDS, v.I16, v.I32)
            kept = b.call(nearest, [x, _sixteen(0), v.number(-1, v.I16), v.number(4, v.I32)])
            back = b.sitofp(kept, v.SCORES)
            if form.packed == 4:
                kept = b.xor(kept, _sixteen(128))  # rows are unsigned there: 128 more
        v.store(b, b.trunc(kept, ir.VectorType(ir.IntType(bits), 16)), b.add(to, b.mul(loop.i, v.number(2 * bits))))
        lost = b.fsub(x, back)
        (total,) = loop.close([b.fadd(loop.carried[0], b.fmul(lost, lost))])
        while total.type.count > 1:
            total = b.fadd(v.half(b, total, 0), v.half(b, total, 1))
        return b.extract_element(total, v.number(0, v.I32))

    largest, is_integer, is_wide = np.float32(form.largest), not form.is_float, form.packed == 2
    least, longest, more, tiny = np.float32(1e-30), np.float32(LONGEST), np.float32(1.001), np.float32(2**-22)

    @numba.njit(nogil=True)
    def narrow(rows, words, unit, lost):
        rows_at, words_at, line, steps = rows.ctypes.data, words.ctypes.data, rows.shape[1] * 4, words.shape[1] * 4
        for i in range(rows.shape[0]):
            scale = np.float32(1)
            norm = np.sqrt(extent(rows_at + i * line, line // 64, True))
            if is_integer:
                scale = largest / max(extent(rows_at + i * line, line // 64, False), least)
            if is_integer and is_wide:
                scale = min(scale, longest / max(norm, least))
            square = round_row(rows_at + i * line, line // 64, scale, words_at + i * steps)
            unit[i] = np.float32(1) / scale
            lost[i] = more * np.sqrt(square) * unit[i] + tiny * norm  # and what float32 rounds off in this

    return narrow


@lru_cache
def available_forms() -> tuple[Form, ...]:
    """Those whose instruction this processor has, with vectors of 512 bits."""
    features = binding.get_host_cpu_features()
    return tuple(form for form in FORMS if features.get("avx512bw") and features.get(form.feature))


@lru_cache
def _compiled(form: Form) -> tuple[Any, Any]:
    return multiplied(form), narrowed(form)


class NarrowProduct:
    """Products of float32 rows with an operand [d, K], d by 16 and K by 64, both rounded; `lost` of the last rows."""

    def __init__(self, operand: F32, form: Form) -> None:
        turned = np.ascontiguousarray(operand.T)
        self._multiply, self._narrow = _compiled(form)
        self._form, self._steps = form, turned.shape[1] // form.packed
        words, self._scale, self.lost = self.narrowed(turned)
        first = np.zeros(len(turned), np.float32 if form.is_float else np.int32)
        if form.packed == 4:
            words = (words.view(np.uint8) ^ np.uint8(128)).view(np.uint32)  # codewords are signed
            first[:] = -128 * words.view(np.int8).astype(np.int32).sum(axis=1)
        self._first, self.longest = first, float(np.linalg.norm(turned, axis=1).max())
        self.lost_of_codes = float(self.lost.max())
        packed = words.reshape(len(turned) // 64, 64, self._steps).transpose(0, 2, 1)
        self._operand = aligned(*packed.shape).view(np.uint32)
        self._operand[...] = packed

    def __call__(self, rows: F32, out: F32) -> None:
        """out = rows @ operand, nearly."""
        rounded = self.narrowed(rows)
        self.lost = rounded[2]
        self.multiply(rounded, out)

    def multiply(self, rounded: tuple[NDArray[np.uint32], F32, F32], out: F32) -> None:
        """The product of rows that are rounded."""
        words, unit, _ = rounded
        self._multiply(words, self._operand, self._first, self._scale, unit, out)

    def narrowed(self, rows: F32) -> tuple[NDArray[np.uint32], F32, F32]:
        """Words, units and what each row lost."""
        words, unit, lost = np.empty((len(rows), self._steps), np.uint32), *np.empty((2, len(rows)), np.float32)
        self._narrow(rows, words, unit, lost)
        return words, unit, lost
