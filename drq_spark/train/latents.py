"""Latents of the sample, as the frozen encoder gives them to executors."""

from __future__ import annotations

import numpy as np

from drq_spark.arrays import F32
from drq_spark.blocks import row_blocks
from drq_spark.tokenizer.network import Encoder

_LARGEST = float(np.finfo(np.float32).max)


def latents_of(encoder: Encoder, prepared: F32) -> F32:
    """Latents float32 [n, d] of prepared rows float32 [n, D], as `Tokenizer.latent` gives them, in blocks."""
    latents = np.empty((len(prepared), encoder.width_out), np.float32)
    for block in row_blocks(len(prepared), encoder.width_in + encoder.width_out):
        latents[block] = encoder(prepared[block]).clip(-_LARGEST, _LARGEST)
    return latents
