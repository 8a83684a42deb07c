"""Products and activations whose every operation and order is fixed: the same bits under every BLAS and processor.

A matrix product of BLAS adds up in an order of its own, and exponentials of numpy differ between processors in their
last digits. Here there is nothing but additions, multiplications and divisions of IEEE 754, in an order that numpy
fixes. That is some twenty times slower, so it is for the few rows where the order decides, see
`drq_spark.tokenizer.Tokenizer.encode_prepared`.
"""

from __future__ import annotations

import numpy as np

from drq_spark.arrays import F64
from drq_spark.blocks import row_blocks

_ELEMENTS = 2**19  # products that are added up at a time: 4 MiB
_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # the former has 21 bits less, so that k * it is exact
_TERMS = 14  # of the series of exp up to ln 2 / 2: the rest is below 2^-57


def product(a: F64, b: F64) -> F64:
    """a b^T, float64 [n, k], [m, k] -> [n, m], each sum in the pairwise order of numpy.

    >>> product(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [0.0, 1.0]])).tolist()
    [[11.0, 2.0]]
    """
    result = np.empty((len(a), len(b)))
    for rows in row_blocks(len(a), b.size, _ELEMENTS):
        result[rows] = (a[rows, None, :] * b).sum(axis=2)
    return result


def exponential(x: F64) -> F64:
    """exp(x) to a few units of the last digit, elementwise, for |x| <= 700: 2^k times the series of the rest of x.

    Source: Cody & Waite 1980, Software Manual for the Elementary Functions (the reduction by ln 2 in two parts).
    """
    power = np.rint(x * _LOG2_E)
    rest = (x - power * _LN2_HIGH) - power * _LN2_LOW
    series = np.ones(x.shape)
    for term in range(_TERMS, 0, -1):
        series = series * rest / term + 1.0
    return np.asarray(np.ldexp(series, power.astype(np.int32)))


def silu(x: F64) -> F64:
    """x * sigmoid(x), elementwise."""
    inner = x.clip(min=-700.0)  # below, the result is less than 1e-301 from 0
    return np.asarray(inner / (1.0 + exponential(-inner.clip(max=700.0))))
