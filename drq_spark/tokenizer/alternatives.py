"""The SIDs that an item could have beside its own, and what each would cost it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drq_spark.arrays import F32, F64, I32, I64
from drq_spark.blocks import row_blocks
from drq_spark.tokenizer.model import Tokenizer

_BLOCK_ELEMENTS = 2**21  # float64 numbers of one block of reconstructed paths


@dataclass(frozen=True)
class Alternatives:
    """SIDs of n items: first the one that its embedding has by itself, then others by rising cost.

    Attributes:
        codes: int32 [n, m, L].
        keys: int64 [n, m], the same as keys.
        cost: float64 [n, m], ||W^L (z - z_q)||^2 with z_q what the SID decodes to.
    """

    codes: I32
    keys: I64
    cost: F64


def alternatives(tokenizer: Tokenizer, z: F32, most: int) -> Alternatives:
    """The own SID and up to `most` - 1 others of latents z, float32 [n, d]: the cheapest whole paths of the beam.

    The beam ranks by codebooks and prices; the others are ranked by what readers lose, the error of the decoded
    latent. A greedy tokenizer has one path up to the last level, so there they differ in the last code only.
    """
    codes = tokenizer.paths(z, most).codes
    rows, paths, levels = codes.shape
    cost = np.empty((rows, paths))
    for block in row_blocks(rows, paths * tokenizer.latent_dim, _BLOCK_ELEMENTS):
        decoded = tokenizer.decode_latent(codes[block].reshape(-1, levels))
        left = tokenizer.weighed(z[block].astype(np.float64).repeat(paths, axis=0) - decoded)
        cost[block] = np.square(left).sum(axis=1).reshape(-1, paths)
    order = np.argsort(cost[:, 1:], axis=1, kind="stable") + 1
    order = np.concatenate([np.zeros((rows, 1), order.dtype), order], axis=1)
    codes, cost = np.take_along_axis(codes, order[:, :, None], 1), np.take_along_axis(cost, order, 1)
    return Alternatives(codes, tokenizer.keys(codes.reshape(-1, levels)).reshape(rows, paths), cost)


def residual_squares(tokenizer: Tokenizer, z: F32, codes: I32) -> F64:
    """||W^L r^{l+1}||^2 of latents z, float32 [n, d], after each level of any codes int32 [n, L]: float64 [n, L]."""
    residual, squares = z.astype(np.float64), np.empty(codes.shape)
    for level, book in enumerate(tokenizer.codebooks):
        residual -= book[codes[:, level]]
        squares[:, level] = np.square(tokenizer.weighed(residual)).sum(axis=1)
    return squares
