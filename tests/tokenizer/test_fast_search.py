"""The compiled search beside the numpy one, to the bit, and beside every extension in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tokenizer.compared_searches import METRICS, assert_equal, check, levels_of
from tokenizer.hard_cases import HARD_CASES, random_case

pytest.importorskip("numba")

from drq_spark.tokenizer.encoding import encode_in_numpy
from drq_spark.tokenizer.fast import score_tables
from drq_spark.tokenizer.fast.exact_squares import summation_plan
from drq_spark.tokenizer.fast.fast_search import FastSearch
from drq_spark.tokenizer.fast.products import NumpyProducts
from drq_spark.tokenizer.kernel import Level

pytestmark = pytest.mark.filterwarnings("error")  # no overflow or invalid value may reach the user's log


def every_extension(z: np.ndarray, levels: list[Level], width: int) -> list[list[int]]:
    """Codes by the definition: float64 costs of all extensions of all kept paths, one at a time."""
    codes = []
    for row in z.astype(np.float64):
        beam: list = [((), row, 0.0)]
        for place, level in enumerate(levels):
            every = []
            for path, left, paid in beam:
                for code, word in enumerate(level.codewords):
                    gap = left - word
                    weighed = gap if level.weight is None else gap * level.weight
                    price = np.float64(level.price[code])
                    cost = ((weighed * weighed).sum() + price) + (paid if width > 1 else 0.0)
                    every.append((cost, (*path, code), gap, paid + price))
            every.sort(key=lambda path: path[:2])
            kept = every[: 1 if place == len(levels) - 1 else width]
            beam = [path[1:] for path in sorted(kept, key=lambda path: path[1])]
        codes.append([int(code) for code in beam[0][0]])
    return codes


@pytest.mark.parametrize("name", [case[0] for case in HARD_CASES])
def test_hard_data_gives_the_bits_of_numpy(name, monkeypatch):
    _, z, books = next(case for case in HARD_CASES if case[0] == name)
    for metric in METRICS:
        levels = levels_of(books, metric)
        for width in (1, 2, 4, 9):
            check(z, levels, width)
        monkeypatch.setattr(score_tables, "TABLE_BYTES_BEAM", 0)
        monkeypatch.setattr(score_tables, "TABLE_BYTES_GREEDY", 0)
        for width in (1, 3):
            check(z, levels, width)
        monkeypatch.undo()


@pytest.mark.parametrize("metric", METRICS)
def test_codes_are_those_of_every_extension_in_float64(metric):
    for name, z, books in HARD_CASES:
        if sum(map(len, books)) < 150:
            for width in (1, 3):
                levels = levels_of(books, metric)
                assert FastSearch(levels, width).codes(z[:6]).tolist() == every_extension(z[:6], levels, width), name


def test_tiles_and_blocks_of_codes_change_no_bit():
    z, books = random_case(70, 9, (1100, 1030))
    for width in (1, 2):
        whole = check(z, levels_of(books, "priced"), width)
        small = NumpyProducts(rows=13, codes=64)
        assert_equal(check(z, levels_of(books, "priced"), width, small), whole)


NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 0.5, 1.0, -1.0, 1.0 + 2**-23, 1e-38, 1e19, -1e30, 3e38, 1e-45]),
    st.floats(-10, 10, width=32),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(0, 9), st.integers(1, 20), st.lists(st.integers(2, 40), min_size=1, max_size=5),
       st.integers(1, 5), st.sampled_from(METRICS))  # fmt: skip
def test_any_finite_values_give_the_bits_of_numpy(data, n, dim, sizes, width, metric):
    books = [data.draw(hnp.arrays(np.float32, (size, dim), elements=NUMBERS)) for size in sizes]
    z = data.draw(hnp.arrays(np.float32, (n, dim), elements=NUMBERS))
    with np.errstate(all="ignore"):
        check(z, levels_of(books, metric), width)


def test_rows_may_be_strided_or_read_only():
    z, books = random_case(40, 12, (20, 10))
    levels = levels_of(books, "plain")
    wanted = encode_in_numpy(z, levels, 3)
    search = FastSearch(levels, 3)
    fixed = z.copy()
    fixed.flags.writeable = False
    for rows in (np.asfortranarray(z), np.repeat(z, 2, axis=0)[::2], np.repeat(z, 2, axis=1)[:, ::2], fixed):
        assert_equal(search.encode(rows, reach=True), wanted)


def test_a_bound_of_nothing_would_be_wrong():
    """The certificate needs the bound: without it the near ties of float32 would be taken for certain."""
    _, z, books = next(case for case in HARD_CASES if case[0] == "codewords a unit apart")
    levels = levels_of(books, "plain")
    for width in (1, 4):
        search = FastSearch(levels, width)
        assert check(z, levels, width).uncertain.max() > len(z) / 2
        for ranking in search._tables.levels:
            ranking.bound[:] = 0
        assert (search.codes(z) != encode_in_numpy(z, levels, width).codes).any(axis=1).sum() > 3


@pytest.mark.parametrize("dim", [1, 7, 8, 9, 127, 128, 129, 136, 200, 256, 257, 384, 1000, 1030, 4097])
def test_the_plan_adds_up_in_the_order_of_numpy(dim):
    numbers = np.random.default_rng(dim).normal(size=dim) ** 2

    def block(part: np.ndarray) -> float:
        lanes = part[: len(part) // 8 * 8].reshape(-1, 8)
        total = 0.0
        if len(lanes):
            sums = np.zeros(8)
            for lane in lanes:
                sums += lane
            total = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
        for number in part[lanes.size :]:
            total += number
        return total

    stack: list[float] = []
    for start, length, joins in summation_plan(dim):
        stack.append(block(numbers[start : start + length]))
        for _ in range(joins):
            last = stack.pop()
            stack[-1] += last
    assert stack == [numbers.sum()]
