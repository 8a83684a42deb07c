"""Rows in blocks, so that work beside a large matrix stays small."""

from __future__ import annotations

from collections.abc import Iterator


def row_blocks(rows: int, width: int, elements: int = 2**21, least: int = 1) -> Iterator[slice]:
    """Slices that cover `rows` rows in order, each of about `elements` numbers where a row has `width` of them.

    Each but the last has at least `least` rows.
    """
    step = max(least, elements // max(width, 1))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))
