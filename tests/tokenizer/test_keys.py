"""Codes and keys are two spellings of one SID."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drq_spark.code_space import check_codebook_sizes
from drq_spark.tokenizer.keys import (
    codes_to_keys,
    keys_to_codes,
    place_values,
)

SIZES = st.lists(st.integers(2, 200), min_size=1, max_size=8)
TIMELESS = settings(deadline=None)


@st.composite
def sids(draw: st.DrawFn) -> tuple[list[int], np.ndarray]:
    """Codebook sizes and codes [n, L], the lowest and highest among them."""
    sizes = draw(SIZES)
    inner = draw(st.lists(st.tuples(*(st.integers(0, size - 1) for size in sizes)), max_size=10))
    return sizes, np.array([*inner, [0] * len(sizes), [size - 1 for size in sizes]], np.int32)


@TIMELESS
@given(sids())
def test_codes_and_keys_round_trip(case):
    sizes, codes = case
    keys = codes_to_keys(codes, sizes)
    assert keys.dtype == np.int64
    assert keys_to_codes(keys, sizes).tolist() == codes.tolist()
    assert keys_to_codes(keys, sizes).dtype == np.int32
    assert (keys[-2], keys[-1]) == (0, prod(sizes) - 1)


@TIMELESS
@given(sids())
def test_keys_sort_as_codes_do(case):
    sizes, codes = case
    keys = codes_to_keys(codes, sizes)
    by_key = [codes[i].tolist() for i in np.argsort(keys, kind="stable")]
    assert by_key == sorted(codes.tolist())


@pytest.mark.parametrize("sizes", [[3, 4, 5], [5, 2], [7], [2, 2, 2, 2, 3]])
def test_a_prefix_is_a_contiguous_range_of_keys(sizes):
    every = np.array(list(product(*map(range, sizes))))
    keys = codes_to_keys(every, sizes)
    assert keys.tolist() == list(range(prod(sizes)))
    for length in range(1, len(sizes) + 1):
        width = place_values(sizes)[length - 1]
        assert (keys // width).tolist() == codes_to_keys(every[:, :length], sizes[:length]).tolist()


def test_the_largest_code_spaces():
    sizes = [8192] * 4 + [1024]  # 2^62
    check_codebook_sizes(sizes)
    top = np.array([[8191, 8191, 8191, 8191, 1023]])
    assert codes_to_keys(top, sizes).tolist() == [2**62 - 1]
    assert keys_to_codes(np.array([2**62 - 1]), sizes).tolist() == top.tolist()
    exact = [2**31 - 1, 2**31, 2]  # 2^63 - 2^32
    check_codebook_sizes(exact)
    last = np.array([[2**31 - 2, 2**31 - 1, 1]])
    assert keys_to_codes(codes_to_keys(last, exact), exact).tolist() == last.tolist()


@pytest.mark.parametrize("sizes", [[2**31, 2**31, 2], [2] * 26 + [2], [8192] * 5, [256] * 8, [], [1], [5, 1, 5]])
def test_refuses_code_spaces_that_a_key_cannot_number(sizes):
    with pytest.raises(ValueError, match=r"^(levels must|codes must|codes \[.* use fewer)[^\n]*$"):
        check_codebook_sizes(sizes)


@pytest.mark.parametrize("codes", [[[3, 0]], [[0, 4]], [[-1, 0]], [[0]], [[0, 0, 0]], [0, 0]])
def test_refuses_codes_out_of_range(codes):
    with pytest.raises(ValueError, match="codes must be"):
        codes_to_keys(np.array(codes), [3, 4])


@pytest.mark.parametrize("key", [-1, 12, 2**62])
def test_refuses_keys_out_of_range(key):
    with pytest.raises(ValueError, match="keys must be from 0 to 11"):
        keys_to_codes(np.array([0, key]), [3, 4])


def test_no_items():
    none = np.empty((0, 2), np.int32)
    assert codes_to_keys(none, [3, 4]).shape == (0,)
    assert keys_to_codes(np.empty(0, np.int64), [3, 4]).shape == (0, 2)
