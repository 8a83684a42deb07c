"""Blocks cover all rows in order, and have the size that was asked for."""

from __future__ import annotations

import pytest

from drq_spark.blocks import row_blocks


@pytest.mark.parametrize(
    ("rows", "width", "elements", "least", "expected"),
    [
        (7, 3, 9, 1, [(0, 3), (3, 6), (6, 7)]),
        (7, 30, 9, 1, [(row, row + 1) for row in range(7)]),
        (7, 30, 9, 4, [(0, 4), (4, 7)]),
        (4, 0, 9, 1, [(0, 4)]),
        (0, 3, 9, 1, []),
    ],
)
def test_blocks(rows: int, width: int, elements: int, least: int, expected: list[tuple[int, int]]) -> None:
    assert [(block.start, block.stop) for block in row_blocks(rows, width, elements, least)] == expected
