"""Places of ticks and of names in a chart."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drq_spark.page.drawing import even_steps, right_labels
from drq_spark.page.svg import TEXT, axes


def shifts(*heights: float) -> list[float]:
    """How far each name is moved from its point, on axes of 100 px from 0 to 100."""
    drawn = axes(100, left=0, top=0, bottom=0)
    drawn.set(xlim=(0, 1), ylim=(0, 100))
    right_labels(drawn, [(str(height), 0.5, height, "ink") for height in heights])
    return [text.xyann[1] for text in drawn.texts]


def test_names_that_do_not_touch_stay_at_their_points():
    assert shifts(10, 40, 80) == pytest.approx([0, 0, 0])


def test_names_that_touch_move_apart_around_their_middle():
    assert shifts(50, 40) == pytest.approx([1.5, -1.5])  # 13 px apart instead of 10
    assert shifts(50, 50) == pytest.approx([-6.5, 6.5])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=3))
def test_no_two_names_touch_and_a_group_stays_where_it_is(heights):
    moved = shifts(*heights)
    placed = sorted(height + shift for height, shift in zip(heights, moved, strict=True))
    assert min(upper - lower for lower, upper in pairwise(placed)) > TEXT
    assert sum(moved) == pytest.approx(0, abs=1e-6)


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_ticks_are_few_round_and_evenly_spaced(low, width):
    places = even_steps(low, low + width)
    assert 2 <= len(places) <= 8
    assert all(low - 1e-6 <= place <= low + width + 1e-6 for place in places)
    steps = {float(f"{after - before:.3g}") for before, after in pairwise(places)}
    assert len({str(float(f"{step:.0e}")) for step in steps}) == 1
    assert f"{steps.pop():.0e}"[0] in "125"
