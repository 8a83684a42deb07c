"""New numbers for the codes of a free fit, so that as many items as possible keep theirs on every level.

Books that are fitted from another start have the same clusters at best under other numbers. The best one-to-one
renaming per level (Hungarian, as in `formulas.renaming`) costs nothing; whole SIDs are kept where all levels agree.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from drq_spark.arrays import F32, I32
from drq_spark.tokenizer import Tokenizer

_MOST_MATCHED_CODES = 4096  # the matching is cubic in K


def renamed(tokenizer: Tokenizer, now: I32, before: I32) -> Tokenizer:
    """The tokenizer with the codes of every level renamed; levels of more than 4096 codes stay as they are.

    Args:
        tokenizer: A fitted one.
        now: int32 [n, L], the SIDs that it gives some items.
        before: int32 [n, L], those that they had, under the same codebook sizes.
    """
    sizes = tokenizer.codebook_sizes
    orders = [best_order(now[:, level], before[:, level], size) for level, size in enumerate(sizes)]

    def ordered(tensors: tuple[F32, ...]) -> tuple[F32, ...]:
        return tuple(np.ascontiguousarray(tensor[order]) for tensor, order in zip(tensors, orders, strict=True))

    return replace(
        tokenizer,
        codebooks=ordered(tokenizer.codebooks),
        prices=None if tokenizer.prices is None else ordered(tokenizer.prices),
        tables=None if tokenizer.tables is None else ordered(tokenizer.tables),
    )


def best_order(now: I32, before: I32, size: int) -> NDArray[np.int64]:
    """Which present code each number shall have, int64 [K]: the permutation that keeps most items."""
    if size > _MOST_MATCHED_CODES:
        return np.arange(size)
    together = np.bincount(before.astype(np.int64) * size + now, minlength=size * size).reshape(size, size)
    return np.asarray(linear_sum_assignment(together, maximize=True)[1], np.int64)
