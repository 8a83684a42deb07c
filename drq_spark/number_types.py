"""The types that the numbers of a binary column can be of, by the names that settings have for them."""

from __future__ import annotations

from typing import Literal

NumberType = Literal["float32", "float16", "bfloat16", "float64", "uint8", "int8", ">f2", ">f4", ">f8", "npy"]
"""Little-endian but for those with `>`; `npy` stands for a whole .npy file in every cell, which names its own type."""

_WIDTHS: dict[NumberType, int] = {
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float64": 8,
    "uint8": 1,
    "int8": 1,
    ">f2": 2,
    ">f4": 4,
    ">f8": 8,
}
NPY_SHAPE = r"'shape': \((?:1, )?(\d+)(?:,|, 1)?\)"
"""Finds D in the header of a .npy file with one vector, which is of shape (D,), (1, D) or (D, 1)."""


def width(kind: NumberType) -> int:
    """Bytes of a number; there is no one width of `npy`."""
    return _WIDTHS[kind]


def of_width(size: int) -> tuple[NumberType, ...]:
    """The types whose numbers have so many bytes; none where there are no such types."""
    return tuple(kind for kind, own in _WIDTHS.items() if own == size)
