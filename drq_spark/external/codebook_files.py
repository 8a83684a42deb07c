"""Codebooks of another system: NumPy or safetensors files, never a pickle."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from drq_spark.arrays import F32
from drq_spark.errors import InputRefused
from drq_spark.files import one_line, read_bytes

_OF_A_LEVEL = re.compile(r"(?:codebooks?|centroids)[._]([0-9]+)")
_OF_ALL = ("codebooks", "codebook", "centroids")


def read_codebooks(path: str) -> tuple[F32, ...]:
    """One float32 [K_l, d] per level, level 1 first.

    `.npy` holds one array [L, K, d]; `.npz` and `.safetensors` hold codebook_0, codebook.0, centroids_0 or centroids.0
    and so on, or one array [L, K, d] named codebooks, codebook or centroids. The content of a file says which it is,
    not its name.

    Raises:
        InputRefused: the file is none of these, or its arrays are no codebooks.
    """
    try:
        content = read_bytes(path)
    except OSError as error:
        raise InputRefused(f"codebooks {path!r} cannot be read: {one_line(error)}") from None
    try:
        books = _levels(_arrays(content))
    except (ValueError, SafetensorError, zipfile.BadZipFile, KeyError, TypeError) as error:
        raise InputRefused(f"codebooks {path!r} cannot be used: {one_line(error)[:300]}") from None
    return books


def _arrays(content: bytes) -> Mapping[str, NDArray[np.generic]]:
    if content.startswith(b"\x93NUMPY"):
        return {"codebooks": np.load(io.BytesIO(content), allow_pickle=False)}
    if content.startswith(b"PK"):
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    return load_tensors(content)


def _levels(arrays: Mapping[str, NDArray[np.generic]]) -> tuple[F32, ...]:
    one = [arrays[name] for name in _OF_ALL if name in arrays and arrays[name].ndim == 3]
    numbered = {int(found[1]): array for name, array in arrays.items() if (found := _OF_A_LEVEL.fullmatch(name))}
    if (not one and sorted(numbered) != list(range(len(numbered)))) or not (one or numbered):
        raise ValueError(
            f"it must hold codebook_0, codebook_1, .. (or centroids_0 ..) or one array codebooks [L, K, d], not "
            f"{', '.join(sorted(arrays)) or 'nothing'}"
        )
    books = list(one[0]) if one else [numbered[level] for level in sorted(numbered)]
    shapes = [book.shape for book in books]
    if not all(len(shape) == 2 and shape[0] >= 2 and shape[1] == shapes[0][1] > 0 for shape in shapes):
        raise ValueError(f"a codebook must be [K, d] with K of 2 or more and one d for all, not {shapes}")
    if not all(np.issubdtype(book.dtype, np.floating) for book in books):
        raise ValueError(f"codebooks must be floats, not {sorted({str(book.dtype) for book in books})}")
    with np.errstate(over="ignore"):
        narrow = tuple(np.ascontiguousarray(book, np.float32) for book in books)
    if not all(np.isfinite(book).all() for book in narrow):
        raise ValueError("codebooks must be finite float32 numbers")
    return narrow
