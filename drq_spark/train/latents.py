"""Latents of the sample, as the frozen encoder gives them to executors, and what books are fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drq_spark.arrays import F32
from drq_spark.blocks import row_blocks
from drq_spark.tokenizer.network import Decoder, Encoder, narrowed


@dataclass(frozen=True)
class Latents:
    """Frozen latents, what makes them of x and x of them, and the metrics in which codes are chosen.

    Attributes:
        z: float32 [n, d] of all rows of the sample, the held-out ones first.
        encoder: None where z is x.
        decoder: None where z_q is x_hat.
        weights: diagonal of W, one float32 [d] per level, None for ones.
    """

    z: F32
    encoder: Encoder | None = None
    decoder: Decoder | None = None
    weights: tuple[F32, ...] | None = None


def latents_of(encoder: Encoder, prepared: F32) -> F32:
    """Latents float32 [n, d] of prepared rows float32 [n, D], as `Tokenizer.latent` gives them, in blocks."""
    latents = np.empty((len(prepared), encoder.width_out), np.float32)
    for block in row_blocks(len(prepared), encoder.width_in + encoder.width_out):
        latents[block] = narrowed(encoder(prepared[block]))
    return latents
