"""Vectors as bytes of every number type."""

from __future__ import annotations

import io

import numpy as np

from drq_spark.number_types import NumberType

DTYPES: dict[NumberType, str] = {
    "float32": "<f4",
    "float16": "<f2",
    "float64": "<f8",
    "int8": "<i1",
    "uint8": "<u1",
    ">f2": ">f2",
    ">f4": ">f4",
    ">f8": ">f8",
}
WHOLE = ("int8", "uint8")


def written(x: np.ndarray, kind: NumberType) -> list[bytes]:
    """Rows [n, D] as bytes; whole types take values in their range."""
    if kind == "npy":
        return [npy(row) for row in x]
    if kind == "bfloat16":
        return [(row.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes() for row in x]
    return [row.astype(DTYPES[kind]).tobytes() for row in x]


def quantised(x: np.ndarray, kind: NumberType) -> np.ndarray:
    """Rows scaled and shifted to the range of a whole type; those of other types stay."""
    if kind not in WHOLE:
        return x
    scaled = np.round(x / np.abs(x).max() * 127)
    return scaled + 128 if kind == "uint8" else scaled


def npy(vector: np.ndarray) -> bytes:
    """A .npy file."""
    file = io.BytesIO()
    np.save(file, vector)
    return file.getvalue()
