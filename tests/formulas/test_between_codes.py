"""What codes say of embeddings: the share between codes by loops, and chance as it is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from drq_spark.formulas.between_codes import between_share, no_better_than_chance


def by_loops(codes, x):
    mean = x.mean(axis=0)
    between = sum(sum(codes == code) * ((x[codes == code].mean(axis=0) - mean) ** 2).sum() for code in set(codes))
    return between / sum(((row - mean) ** 2).sum() for row in x)


def drawn(n=400, codes=16, spread=3.0, seed=0):
    random = np.random.default_rng(seed)
    code = random.integers(0, codes, n)
    return code, random.normal(size=(codes, 5))[code] + spread * random.normal(size=(n, 5))


def test_the_share_is_that_of_loops():
    codes, x = drawn(60, 5)
    assert between_share(codes, x) == pytest.approx(by_loops(codes, x))


@pytest.mark.parametrize("seed", range(5))
def test_codes_with_little_to_say_are_beyond_chance(seed):
    codes, x = drawn(2000, spread=3.0, seed=seed)
    assert not no_better_than_chance(codes, x, 1)


def test_shifted_codes_are_as_chance_has_them():
    told = [no_better_than_chance(np.roll(codes, 1), x, 1) for codes, x in (drawn(seed=seed) for seed in range(40))]
    assert sum(told) >= 32  # one of twenty is beyond by chance


def test_nothing_can_be_told():
    codes, x = drawn()
    assert not no_better_than_chance(np.zeros_like(codes), x, 1)
    assert not no_better_than_chance(np.arange(len(x)), x, 1)
    assert not no_better_than_chance(codes, np.ones_like(x), 1)
