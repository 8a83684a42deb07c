"""Numbers as people read them."""

from __future__ import annotations

import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drq_spark.page import numbers
from drq_spark.page.numbers import finite, number, percent, whole_percent


def test_worked_examples():
    assert doctest.testmod(numbers).failed == 0


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
def test_three_digits_are_close_enough(value):
    """Integers are written in full, the rest is within half a unit of the third digit."""
    text = (
        number(value)
        .replace(",", "")
        .replace("\xa0×\xa010", "e")
        .translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    )
    assert float(text) == pytest.approx(value, rel=5.01e-3)


@given(st.floats(1e-9, 1 - 1e-9))
def test_only_nothing_is_0_and_only_everything_is_100_percent(share):
    assert percent(share) not in ("0\xa0%", "100\xa0%")
    assert whole_percent(share) not in ("0", "100")


def test_what_is_not_a_number_is_not_shown():
    assert finite(1.5) == 1.5
    assert [finite(value) for value in (None, math.nan, math.inf)] == [None, None, None]
