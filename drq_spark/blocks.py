"""Rows in blocks, so that work beside a large matrix stays small."""

from __future__ import annotations

from collections.abc import Iterator


def row_blocks(rows: int, width: int, elements: int = 2**21) -> Iterator[slice]:
    """Slices that cover `rows` rows in order, each of about `elements` numbers where a row has `width` of them."""
    step = max(1, elements // width)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))
