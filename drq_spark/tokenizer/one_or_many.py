"""One vector or many, as arrays or lists: what people hand to a tokenizer in a notebook."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_KINDS = {"embeddings": "fiu", "codes": "iu"}


def one_or_many(values: ArrayLike, what: str) -> tuple[NDArray[Any], bool]:
    """The rows [n, .] of anything that numpy takes, and whether it was one row [.] alone.

    Args:
        values: Arrays, lists, tensors, data frames.
        what: "embeddings", which are numbers, or "codes", which are integers.

    Raises:
        ValueError: rows of several lengths, or other values.
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{what} must be rows of one length") from None
    if not array.size and array.dtype == np.float64:  # an empty list tells no type
        array = array.astype(np.int32 if what == "codes" else np.float32)
    if array.dtype.kind not in _KINDS[what]:
        numbers = "integers" if what == "codes" else "numbers"
        raise ValueError(f"{what} must be {numbers}, not of type {array.dtype}")
    one = array.ndim == 1 and bool(array.size)
    return array[None] if one else array, one
