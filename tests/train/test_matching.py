"""Renamed codes, against all permutations."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from drq_spark.tokenizer import Tokenizer
from drq_spark.train.matching import best_order, renamed


def test_no_permutation_keeps_more() -> None:
    random = np.random.default_rng(0)
    for size in (2, 4, 5):
        now, before = random.integers(0, size, (2, 60)).astype(np.int32)
        order = best_order(now, before, size)

        def kept(numbers: tuple[int, ...], now: np.ndarray = now, before: np.ndarray = before) -> int:
            return sum(numbers[old] == new for old, new in zip(before.tolist(), now.tolist(), strict=True))

        assert sorted(order.tolist()) == list(range(size))
        assert kept(tuple(order.tolist())) == max(map(kept, permutations(range(size))))


def test_the_tokenizer_is_the_same_under_other_numbers() -> None:
    random = np.random.default_rng(1)
    books, tables = (tuple(random.standard_normal((2, 5, 3)).astype(np.float32)) for _ in range(2))
    prices = tuple(random.random((2, 5)).astype(np.float32))
    old = Tokenizer("drq", 3, "none", books, (1.0, 1.0), prices=prices, tables=tables, beam=2)
    x = random.standard_normal((200, 3)).astype(np.float32)
    shuffles = [random.permutation(5) for _ in books]
    codes = old.encode(x).codes
    before = np.stack([shuffle[codes[:, level]] for level, shuffle in enumerate(shuffles)], axis=1).astype(np.int32)
    new = renamed(old, codes, before)
    assert (new.encode(x).codes == before).all()
    assert np.array_equal(new.decode(before), old.decode(codes))
