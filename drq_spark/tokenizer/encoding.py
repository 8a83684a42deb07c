"""SIDs of latents with what is known about each, and the numpy search that is the reference for every other one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32, F64, I32
from drq_spark.blocks import row_blocks
from drq_spark.tokenizer.beam import search
from drq_spark.tokenizer.kernel import Level, nearest

_BLOCK_ELEMENTS = 2**21  # float64 numbers of one block of rows


@dataclass(frozen=True)
class Encoding:
    """SIDs of n items with what is known about each.

    Attributes:
        codes: int32 [n, L].
        margin: float32 [n, L], see `kernel.Nearest` and `beam.Paths`.
        residual_square: float64 [n, L], ||W^L r^{l+1}||^2, what is left of the latent after each level.
        reach: float64 [n], how far the latent may move in the metric of any level without another SID;
            may be of no rows where it was not asked for.
        uncertain: Rows per level, int64 [L], that were decided in float64.
        compiled: Rows that the compiled search encoded; the others are numpy's, with the same bits.
        on_gpu: Rows among these whose products a GPU made.
    """

    codes: I32
    margin: F32
    residual_square: F64
    reach: F64
    uncertain: NDArray[np.int64]
    compiled: int = 0
    on_gpu: int = 0


def encode_in_numpy(z: F32, levels: Sequence[Level], width: int) -> Encoding:
    """SIDs of latents z, float32 [n, d], finite, by a beam of `width` paths, 1 = greedy."""
    rows = len(z)
    result = Encoding(
        codes=np.empty((rows, len(levels)), np.int32),
        margin=np.empty((rows, len(levels)), np.float32),
        residual_square=np.empty((rows, len(levels))),
        reach=np.full(rows, np.inf),
        uncertain=np.zeros(len(levels), np.int64),
    )
    for block in row_blocks(rows, z.shape[1], _BLOCK_ELEMENTS):
        latents = z[block].astype(np.float64)
        if width == 1:
            _encode_greedily(latents, levels, block, result)
        else:
            _encode_by_beam(latents, levels, width, block, result)
    return result


def _encode_greedily(residual: F64, levels: Sequence[Level], block: slice, result: Encoding) -> None:
    last = levels[-1].weight
    for index, level in enumerate(levels):
        found = nearest(residual, level)
        residual = found.residual
        weighed = residual if last is None else residual * last
        result.codes[block, index] = found.code
        result.margin[block, index] = found.margin
        result.reach[block] = np.minimum(result.reach[block], found.reach)
        result.residual_square[block, index] = (weighed * weighed).sum(axis=1)
        result.uncertain[index] += found.uncertain


def _encode_by_beam(latents: F64, levels: Sequence[Level], width: int, block: slice, result: Encoding) -> None:
    found = search(latents, levels, width)
    result.codes[block] = found.codes[:, 0]
    result.margin[block] = found.margin
    result.residual_square[block] = found.residual_square
    result.reach[block] = found.reach
    result.uncertain[:] += found.uncertain
