"""The compiled search compared with the numpy one, to the bit."""

from __future__ import annotations

import numpy as np

from drq_spark.tokenizer.encoding import Encoding, encode_in_numpy
from drq_spark.tokenizer.fast.fast_search import FastSearch
from drq_spark.tokenizer.fast.products import NUMPY, Multiplier
from drq_spark.tokenizer.kernel import Level

METRICS = ("plain", "priced", "weighed")


def levels_of(books: list[np.ndarray], metric: str) -> list[Level]:
    """Plain costs, prices, or prices and weights that differ from level to level, some of them 0."""
    rng = np.random.default_rng(7)
    levels = []
    for index, book in enumerate(books):
        scale = min(np.square(book.astype(np.float64)).sum(axis=1).mean() * 0.1, 1e30)
        price = (rng.normal(size=len(book)) * scale).astype(np.float32) if metric != "plain" else None
        weight = np.exp(rng.normal(size=book.shape[1]) * 0.5).astype(np.float32) if metric == "weighed" else None
        if weight is not None and index == 1:
            weight[0] = 0
        levels.append(Level.prepare(book, price, weight))
    return levels


def assert_equal(found: Encoding, wanted: Encoding) -> None:
    """Every bit of what the two searches promise to have in common."""
    for name in ("codes", "margin", "residual_square", "reach"):
        assert getattr(found, name).tobytes() == getattr(wanted, name).tobytes(), name


def check(z: np.ndarray, levels: list[Level], width: int, multiplier: Multiplier = NUMPY) -> Encoding:
    """The compiled search must equal the numpy one, whatever it is asked for and whatever multiplies."""
    with np.errstate(over="ignore"):  # a priced margin at next to no distance may overflow float32
        wanted = encode_in_numpy(z, levels, width)
    search = FastSearch(levels, width, multiplier)
    found = search.encode(z, reach=True)
    assert_equal(found, wanted)
    assert search.codes(z).tobytes() == wanted.codes.tobytes()
    without = search.encode(z, reach=False)
    assert without.margin.tobytes() == wanted.margin.tobytes()
    assert len(without.reach) == 0
    return found
