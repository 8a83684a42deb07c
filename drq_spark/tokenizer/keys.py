"""Codes and key: two spellings of one semantic ID (SID); `drq_spark.tokens` has the third.

codes   int array [n, L], 0-based, level 1 first;
key     one int64 per item, the mixed-radix number of the codes with level 1 as the most significant digit, so that
        items that share a prefix are a contiguous range of keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray


def place_values(codebook_sizes: Sequence[int]) -> NDArray[np.int64]:
    """Weight of each level in the key: int64 [L], prod of the sizes of all later levels."""
    return np.array([prod(codebook_sizes[level + 1 :]) for level in range(len(codebook_sizes))], dtype=np.int64)


def codes_to_keys(codes: NDArray[np.integer], codebook_sizes: Sequence[int]) -> NDArray[np.int64]:
    """Mixed-radix keys int64 [n] of codes [n, L].

    Raises:
        ValueError: a code outside 0 .. K_l - 1, or another number of levels.
    """
    if codes.ndim != 2 or codes.shape[1] != len(codebook_sizes):
        raise ValueError(f"codes must be [n, {len(codebook_sizes)}], not {codes.shape}")
    if codes.size and ((codes < 0) | (codes >= np.asarray(codebook_sizes))).any():
        raise ValueError(f"codes must be from 0 to K - 1 with K = {list(codebook_sizes)}")
    return codes.astype(np.int64) @ place_values(codebook_sizes)


def keys_to_codes(keys: NDArray[np.integer], codebook_sizes: Sequence[int]) -> NDArray[np.int32]:
    """Codes int32 [n, L] of mixed-radix keys [n]; the inverse of `codes_to_keys`.

    Raises:
        ValueError: a key outside 0 .. prod K_l - 1.
    """
    if keys.size and (keys.min() < 0 or int(keys.max()) >= prod(codebook_sizes)):
        raise ValueError(f"keys must be from 0 to {prod(codebook_sizes) - 1}")
    digits = keys[:, None] // place_values(codebook_sizes)
    return (digits % np.asarray(codebook_sizes, dtype=np.int64)).astype(np.int32)
