"""The picture of which codes overlap."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from report.builder import build

from drq_spark.report.overlap_maps import MOST
from drq_spark.report.sections.effective_capacity import _SHADES, overlap, parts


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


def test_a_map_that_would_be_empty_is_told_in_words():
    """The first level has two codes that overlap a little, the second hardly, of the third one code alone is in use."""
    apart = np.eye(4, dtype=np.float32)
    near = apart.copy()
    near[1, 2] = near[2, 1] = 0.11
    data = build(codes=4, levels=3, items=500)
    faint = np.maximum(apart, np.float32(0.09))
    shown = parts(replace(data, overlap=(near, faint, apart[:1, :1])))
    assert [chart.title.partition(":")[0] for chart in shown["overlaps"]] == ["Level 1"]
    assert shown["without_overlap"] == "Level 2: no two of the 4 codes in use overlap by 10\xa0% or more."
    few = parts(replace(data, overlap=(apart[:3, :3],)))
    assert few["without_overlap"] == "Level 1: no two of the 3 most used codes overlap by 10\xa0% or more."
