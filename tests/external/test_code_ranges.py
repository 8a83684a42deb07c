"""Settings that the ends of the codes of every level give away."""

from __future__ import annotations

import numpy as np
import pytest

from drq_spark.external.code_ranges import counts_from_1, one_vocabulary


@pytest.mark.parametrize("sizes", [(16, 16), (256, 256, 256), (128, 64, 512, 32)])
@pytest.mark.parametrize("start", [0, 1])
def test_offset_codes_with_k_known_give_back_where_each_level_begins(sizes, start):
    base = start + np.cumsum([0, *sizes[:-1]])
    ends = [(first, first + size - 1) for first, size in zip(base.tolist(), sizes, strict=True)]
    lowest, largest = [low for low, _ in ends], [high for _, high in ends]
    assert one_vocabulary(lowest, largest, sizes) == tuple(base.tolist())


@pytest.mark.parametrize(
    ("size", "levels", "start"), [(256, 3, 0), (8192, 3, 0), (16, 2, 1), (100, 4, 0), (256, 3, 151_669)]
)
def test_offset_codes_give_back_where_each_level_begins_when_all_codes_are_used(size, levels, start):
    lowest = [start + level * size for level in range(levels)]
    assert one_vocabulary(lowest, [low + size - 1 for low in lowest]) == tuple(lowest)


def test_a_power_of_2_is_taken_where_the_ends_are_unused():
    assert one_vocabulary([3, 259, 515], [250, 500, 766]) == (0, 256, 512)


@pytest.mark.parametrize(
    ("lowest", "largest"),
    [([0, 0], [15, 15]), ([0, 15], [15, 30]), ([0], [15]), ([5, 0], [9, 4]), ([0, 16, 0], [15, 31, 3])],
)
def test_levels_that_share_codes_are_no_vocabulary(lowest, largest):
    assert one_vocabulary(lowest, largest) is None


def test_k_that_does_not_fit_is_none():
    assert one_vocabulary([0, 16], [15, 40], [16, 16]) is None


def test_codes_from_1_need_every_level():
    assert counts_from_1([1, 2], [16, 12], [16, 16])
    assert not counts_from_1([0, 1], [16, 16], [16, 16])
    assert not counts_from_1([1, 1], [17, 16], [16, 16])
