"""How far float32 scores may be from exact ones: a bound for any order of summation, any tile, BLAS and GPU.

A score of a row with zeta = z - a, N = ||zeta||, errs by at most

    e = A + B N + C N^2 + 4 u sum |base|,

    B = 2 gamma w + (m + 6) u 2 w + 4 (d + 6) t
    A = (m + 6) u (sum_j max |T_j|, or max |o|) + 4 (d + 6) t (1 + w) + v (2 longest^2 + paid)
    C = 2 v max |w_l|^2,

with u = 2^-24, gamma = (d + 6) u / (1 - (d + 6) u), w = max_k ||w_l^2 c_k|| (of level 1: c_k - a), m the number of
tables, t = 2^-125 (twice the smallest normal float32: what flushing to zero can cost a term), v = (d + 8 + 4 L) 2^-53.
The first terms are inner products of float32 numbers (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
section 3.1: |fl(x.y) - x.y| <= gamma_n |x|.|y|; operands and zeta were rounded themselves, hence d + 6) and the
additions after them. v covers the rounding of the float64 costs that decide, where `longest` + max |w_l| N is at least
the weighed length of any difference and `paid` the prices: what is left out would have lost in float64 as well.
Where bases of paths are sums of earlier scores, the bounds of these add up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drq_spark.arrays import F64
from drq_spark.tokenizer.candidates import UNIT, UNIT64

_TINY = 2.0**-125
_OVERFLOW = 2.0**126  # float32 scores up to here cannot have overflowed on the way


@dataclass(frozen=True)
class LevelSizes:
    """What the bound of one level is made of, in the names of the formulas.

    Attributes:
        dim, levels: d and L.
        tables: m, cross tables that are added up; 0 without.
        constant: sum_j max |T_j|, or max |o| without tables.
        widest: w.
        metric: max |w_l|.
        longest: see above, without the row's own part.
        paid: sum of the largest |price| of this level and those above.
    """

    dim: int
    levels: int
    tables: int
    constant: float
    widest: float
    metric: float
    longest: float
    paid: float

    def bound(self) -> F64:
        """A, B and C, float64 [3]."""
        terms, adds = self.dim + 6, self.tables + 6
        gamma = terms * UNIT / (1 - terms * UNIT)
        rounded = (self.dim + 8 + 4 * self.levels) * UNIT64
        fixed = adds * UNIT * self.constant + 4 * terms * _TINY * (1 + self.widest)
        return np.array(
            [
                fixed + rounded * (2 * self.longest**2 + self.paid),
                2 * gamma * self.widest + adds * UNIT * 2 * self.widest + 4 * terms * _TINY,
                rounded * 2 * self.metric**2,
            ]
        )

    def largest_norm(self) -> float:
        """Norm up to which no float32 number of a row can overflow on its way; negative where that is none."""
        room = _OVERFLOW / 4 - self.constant - self.longest**2 - self.paid
        return float(min(room / (4 * self.widest + 1e-30), np.sqrt(_OVERFLOW) / (self.metric + 1)))
