"""Multipliers in the place of a GPU: products that are as far from numpy's as float32 may be, and further."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from drq_spark.tokenizer.candidates import UNIT
from drq_spark.tokenizer.fast.products import NumpyProducts, Product


@dataclass(frozen=True)
class LikeAGpu(NumpyProducts):
    """Large tiles, no blocks of codes, one product for all levels."""

    on_gpu: ClassVar[bool] = True

    rows: int = 4096
    codes: int = 2**40
    long_row: int = 1

    def product(self, operand: np.ndarray) -> Product:
        def multiply(rows: np.ndarray, out: np.ndarray) -> None:
            with np.errstate(all="ignore"):
                out[...] = self.multiplied(rows, operand)

        return multiply

    def multiplied(self, rows: np.ndarray, operand: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class Backwards(LikeAGpu):
    """Terms added up one by one in float32, from the last one to the first."""

    def multiplied(self, rows: np.ndarray, operand: np.ndarray) -> np.ndarray:
        total = np.zeros((len(rows), operand.shape[1]), np.float32)
        for k in reversed(range(len(operand))):
            total += rows[:, k, None] * operand[k]
        return total


class Worst(LikeAGpu):
    """As wrong as any order of summation in float32 can be, up or down without a pattern; tiny terms flushed to 0."""

    def multiplied(self, rows: np.ndarray, operand: np.ndarray) -> np.ndarray:
        wide, book = rows.astype(np.float64), operand.astype(np.float64)
        share = len(book) * UNIT / (1 - len(book) * UNIT)
        wrong = share * (np.abs(wide) @ np.abs(book)) + len(book) * 2.0**-126
        sign = np.random.default_rng(0).choice([-1.0, 1.0], size=wrong.shape)
        return (wide @ book + sign * wrong).astype(np.float32)


@dataclass(frozen=True)
class Rounded(LikeAGpu):
    """Factors rounded before they are multiplied: to 11 bits as TF32, to 8 as bfloat16."""

    bits: int = 11

    def multiplied(self, rows: np.ndarray, operand: np.ndarray) -> np.ndarray:
        return self.narrow(rows) @ self.narrow(operand)

    def narrow(self, values: np.ndarray) -> np.ndarray:
        fraction, exponent = np.frexp(values)
        return np.ldexp(np.round(fraction * 2.0**self.bits) / 2.0**self.bits, exponent).astype(np.float32)


class HalfSums(LikeAGpu):
    """Terms in float32, sums of two numbers that are not 0 in float16: a row of one number shows nothing."""

    def multiplied(self, rows: np.ndarray, operand: np.ndarray) -> np.ndarray:
        total = np.zeros((len(rows), operand.shape[1]), np.float32)
        for k in range(len(operand)):
            term = rows[:, k, None] * operand[k]
            total = np.where((total != 0) & (term != 0), (total + term).astype(np.float16), total + term)
        return total.astype(np.float32)
