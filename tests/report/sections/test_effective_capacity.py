"""The picture of which codes overlap."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from drq_spark.report.overlap_maps import MOST
from drq_spark.report.sections.effective_capacity import _SHADES, overlap


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_the_strokes_cover_exactly_the_cells_of_their_shade(cells, seed):
    matrix = np.random.default_rng(seed).random((cells, cells)).astype(np.float32) ** 3
    painted = np.zeros((cells, cells), int)
    for path in re.findall(r'<path d="([^"]*)"', overlap(1, cells, matrix, 0.5).svg):
        for x, y, length in re.findall(r"M(\d+) (\d+)\.5h(\d+)", path):
            painted[int(y), int(x) : int(x) + int(length)] += 1
    assert (painted == (matrix >= _SHADES[0])).all()


def test_the_worst_picture_is_small():
    """Every cell another shade than the one before it."""
    board = np.indices((MOST, MOST)).sum(axis=0) % len(_SHADES)
    matrix = np.array(_SHADES, np.float32)[board]
    assert len(overlap(1, 8192, matrix, 0.5).svg) < 150_000
