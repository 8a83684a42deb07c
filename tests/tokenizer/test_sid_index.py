"""From SIDs and prefixes back to items, beside a dict from every prefix to a list."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drq_spark import SidIndex

TIMELESS = settings(deadline=None)


@st.composite
def catalogues(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Codebook sizes, the SIDs of some items, and prefixes of one length to ask for, theirs and others."""
    sizes = draw(st.lists(st.integers(2, 4) | st.just(200), min_size=1, max_size=4))
    sid = st.tuples(*(st.integers(0, size - 1) for size in sizes))
    length = draw(st.integers(1, len(sizes)))
    items, others = draw(st.lists(sid, max_size=30)), draw(st.lists(sid, max_size=5))
    return sizes, items, [prefix[:length] for prefix in [*items[:5], *others]]


def index_of(sizes: list[int], items: list[tuple[int, ...]]) -> SidIndex:
    return SidIndex(np.array(items, np.int32).reshape(len(items), len(sizes)), sizes)


def by_prefix(items: list[tuple[int, ...]]) -> dict[tuple[int, ...], list[int]]:
    """Every prefix with its items, by SID and then by row."""
    found: dict[tuple[int, ...], list[int]] = {}
    for row in sorted(range(len(items)), key=lambda row: (items[row], row)):
        for length in range(1, len(items[row]) + 1):
            found.setdefault(items[row][:length], []).append(row)
    return found


@TIMELESS
@given(catalogues())
def test_a_prefix_has_the_items_that_a_dict_has(case):
    sizes, items, prefixes = case
    index, expected = index_of(sizes, items), by_prefix(items)
    for prefix in prefixes:
        assert index.items(prefix).tolist() == expected.get(prefix, [])


@TIMELESS
@given(catalogues())
def test_many_prefixes_at_once_have_what_each_has(case):
    sizes, items, prefixes = case
    index, expected = index_of(sizes, items), by_prefix(items)
    asked = np.array(prefixes, int).reshape(len(prefixes), -1) if prefixes else np.empty((0, len(sizes)), int)
    found, ends = index.items_of_each(asked)
    assert found.dtype == ends.dtype == np.int64
    each = [part.tolist() for part in np.split(found, ends[:-1])] if prefixes else []
    assert each == [expected.get(prefix, []) for prefix in prefixes]
    assert index.counts(asked).tolist() == [len(part) for part in each]


@TIMELESS
@given(catalogues())
def test_the_different_sids_and_numbers_of_prefixes_stand_in_the_order_of_codes(case):
    sizes, items, _ = case
    index = index_of(sizes, items)
    assert [tuple(sid) for sid in index.sids.tolist()] == sorted(set(items))
    for level in range(1, len(sizes) + 1):
        place = {prefix: number for number, prefix in enumerate(sorted({item[:level] for item in items}))}
        assert index.prefix_numbers(level).tolist() == [place[item[:level]] for item in items]


def test_the_widest_keys_do_not_wrap_around():
    sizes = [2**21, 2**21, 2**20]
    last = [size - 1 for size in sizes]
    index = SidIndex([[0, 0, 0], last, last], sizes)
    assert index.items(last).tolist() == index.items(last[:1]).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("prefix", "says"),
    [
        ([4], "codes must be from 0 to K - 1"),
        ([-1, 0], "codes must be from 0 to K - 1"),
        ([], r"prefixes must be \[q, l\] with 1 to 2 codes each"),
        ([0, 0, 0], r"prefixes must be \[q, l\] with 1 to 2 codes each"),
        ([0.5, 0], "codes must be integers"),
    ],
)
def test_prefixes_that_are_none_are_refused(prefix, says):
    with pytest.raises(ValueError, match=says):
        SidIndex([[0, 2], [3, 1]], (4, 6)).items(prefix)


def test_a_level_or_codes_that_are_none_are_refused():
    with pytest.raises(ValueError, match="level must be 1 to 2, not 3"):
        SidIndex([[0, 2]], (4, 6)).prefix_numbers(3)
    with pytest.raises(ValueError, match="codes must be from 0 to K - 1"):
        SidIndex([[0, 6]], (4, 6))
    with pytest.raises(ValueError, match=r"prefixes must be \[q, l\]"):
        SidIndex([[0, 2]], (4, 6)).counts([0, 2])
