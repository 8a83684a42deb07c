"""Whether float64 sums of the compiled search are numpy's to the bit: numpy promises no order of adding up."""

from __future__ import annotations

import numpy as np

from drq_spark.tokenizer.fast.fast_search import FastSearch
from drq_spark.tokenizer.kernel import Level


def adds_up_as_numpy(dim: int) -> bool:
    """Whether squares of 64 rows of `dim` numbers are equal."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(64, dim)).astype(np.float32)
    book = np.stack([rows[0], rows[1]])
    found = FastSearch([Level.prepare(book)], 1).encode(rows, reach=False)
    gap = rows.astype(np.float64) - book[found.codes[:, 0]]
    return bool((found.residual_square[:, 0] == (gap * gap).sum(axis=1)).all())
