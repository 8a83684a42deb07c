"""Rows of numbers: their directions, the angles between them, and the codewords that a SID adds up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F64


def codeword_sum(books: Sequence[NDArray[np.floating]], codes: NDArray[np.integer]) -> F64:
    """sum_l c^l_{s^l}, float64 [n, d], of codes [n, L], added up in the order of the levels.

    >>> codeword_sum([np.array([[0.0], [4.0]]), np.array([[0.0], [1.0]])], np.array([[1, 1], [0, 1]])).tolist()
    [[5.0], [1.0]]
    """
    total = np.zeros((len(codes), books[0].shape[1]))
    for level, book in enumerate(books):
        total += book[codes[:, level]]
    return total


def unit_rows(x: NDArray[np.floating]) -> F64:
    """Rows float64 [n, d] divided by their norms, so that cosines are inner products; a row of zeros stays as it is.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    wide = x.astype(np.float64)
    norm = np.sqrt(np.square(wide).sum(axis=1, keepdims=True))
    return np.asarray(np.divide(wide, norm, out=wide, where=norm > 0))


def row_cosines(a: F64, b: F64) -> F64:
    """Cosine [n] of each row of a with the same row of b, [n, d] both; 0 where a norm is 0.

    >>> row_cosines(np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[4.0, 3.0], [1.0, 0.0]])).tolist()
    [0.96, 0.0]
    """
    return cosines_of_products((a * b).sum(axis=1), np.square(a).sum(axis=1), np.square(b).sum(axis=1))


def cosines_of_products(inner: F64, a_square: F64, b_square: F64) -> F64:
    """Cosines [n] from inner products and squares of norms, [n] each; 0 where a norm is 0.

    >>> cosines_of_products(np.array([24.0, 0.0]), np.array([25.0, 0.0]), np.array([25.0, 2.0])).tolist()
    [0.96, 0.0]
    """
    norms = np.sqrt(a_square * b_square)
    return np.asarray(np.divide(inner, norms, out=np.zeros(len(inner)), where=norms > 0))
