"""Items that share a SID, the ceiling that equal embeddings set, and which rows of a matrix are equal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import I64
from drq_spark.formulas.ratios import ratio


def duplicate_rate(unique_sids: int, items: int) -> float:
    """1 - unique SIDs / items: share of the items that would have to go for all SIDs to differ.

    >>> duplicate_rate(3, 4)  # SIDs a a b c
    0.25
    """
    return ratio(items - unique_sids, items)


def shared_rate(shared_items: int, items: int) -> float:
    """Share of the items whose SID some other item has too; from `duplicate_rate` to twice that and more.

    >>> shared_rate(2, 4)  # SIDs a a b c
    0.5
    """
    return ratio(shared_items, items)


def collision_mass(sum_squares: float, items: int) -> float:
    """sum_s n_s^2 / N^2: chance that two items at random, with replacement, have the same SID. At least 1/N.

    >>> collision_mass(6, 4)  # SIDs a a b c: (4 + 1 + 1) / 16
    0.375
    """
    return ratio(sum_squares, float(items) ** 2)


def exact_duplicate_rate(distinct_embeddings: int, items: int) -> float:
    """1 - distinct embeddings / items: the least `duplicate_rate` possible, since equal embeddings get equal SIDs.

    >>> exact_duplicate_rate(8, 10)
    0.2
    """
    return ratio(items - distinct_embeddings, items)


def excess_duplicate_rate(unique_sids: int, distinct_embeddings: int, items: int) -> float:
    """(distinct embeddings - unique SIDs) / items = duplicate_rate - exact_duplicate_rate: what the tokenizer adds.

    >>> excess_duplicate_rate(7, 8, 10)
    0.1
    """
    return ratio(distinct_embeddings - unique_sids, items)


def different_rows(rows: NDArray[np.floating]) -> tuple[I64, I64]:
    """The different rows of a matrix [n, d], d > 0, told apart by their bytes.

    Returns:
        (first, group): first [m], where each of the m different rows stands first, in the order of the rows; group [n],
        which of them every row is.

    >>> [found.tolist() for found in different_rows(np.array([[5.0], [2.0], [5.0]]))]
    [[0, 1], [0, 1, 0]]
    """
    whole = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * rows.shape[1])))
    _, first, group = np.unique(whole[:, 0], return_index=True, return_inverse=True)
    order = np.argsort(first)
    return first[order], np.argsort(order)[group]
