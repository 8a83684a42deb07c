"""The divergence of two uses of the same codes."""

from __future__ import annotations

from math import log2, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drq_spark.formulas.divergence import jensen_shannon

counts = st.lists(st.integers(0, 9), min_size=4, max_size=4)


def test_by_hand():
    assert jensen_shannon(np.array([3, 3, 0]), np.array([1, 1, 0])) == 0
    assert jensen_shannon(np.array([5, 0]), np.array([0, 2])) == pytest.approx(1)
    assert jensen_shannon(np.array([1, 1]), np.array([1, 0])) == pytest.approx(1.5 - 0.75 * log2(3))
    assert jensen_shannon(np.array([0, 0]), np.array([1, 0])) == pytest.approx(nan, nan_ok=True)


@given(counts, counts)
def test_is_the_mean_divergence_from_the_mixture(before, after):
    if not sum(before) or not sum(after):
        return
    p, q = np.array(before) / sum(before), np.array(after) / sum(after)
    m = (p + q) / 2
    terms = [a * log2(a / c) for shares in (p, q) for a, c in zip(shares, m, strict=True) if a > 0]
    found = jensen_shannon(np.array(before), np.array(after))
    assert found == pytest.approx(sum(terms) / 2, abs=1e-12)
    assert 0 <= found <= 1 + 1e-12
