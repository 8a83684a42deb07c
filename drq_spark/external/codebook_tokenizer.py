"""Codebooks of another system as a tokenizer: what stands for its latents, and so what sigma is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32
from drq_spark.measure.item_sample import ItemSample
from drq_spark.schemas import EXTERNAL
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.latent_unit import effective_rms
from drq_spark.tokenizer.model import Normalize
from drq_spark.vectors import codeword_sum


@dataclass(frozen=True)
class CodebookTokenizer:
    """Codebooks with the unit of sigma, and what that unit rests on.

    Attributes:
        tokenizer: The codebooks; the unit is the same on every level.
        unit: sigma at eta = 1.
        items: How many items the unit is taken from.
        agreement: Share of the first items whose nearest codewords are their codes; None where latents are not known
            and the sums of the codewords stand for them.
        checked: How many items this share is of, 0 where there is none.
    """

    tokenizer: Tokenizer
    unit: float
    items: int
    agreement: float | None
    checked: int


def codebook_tokenizer(books: tuple[F32, ...], sample: ItemSample, dim: int, normalize: Normalize) -> CodebookTokenizer:
    """The codebooks float32 [K_l, d] as a tokenizer.

    Where items have as many numbers as codewords, z = x is assumed. Where nothing is known of the latents, what the
    SIDs rebuild stands for them.

    Args:
        books: One per level.
        sample: Items with their SIDs.
        dim: D, 0 without items.
        normalize: How embeddings are prepared.
    """
    length = books[0].shape[1]
    latents = sample.x if sample.x is not None and dim == length else None
    (unit,) = effective_rms(rebuilt(sample.codes, books) if latents is None else latents, [None])
    tokenizer = Tokenizer(EXTERNAL, length, normalize, books, latent_rms=(unit,) * len(books))
    if latents is None:
        return CodebookTokenizer(tokenizer, unit, len(sample.codes), None, 0)
    return CodebookTokenizer(tokenizer, unit, len(latents), *agreement(sample.codes, latents, tokenizer))


def rebuilt(codes: NDArray[np.int32], books: Sequence[F32]) -> F32:
    """z_q = sum_l c^l_{s^l}, float32 [n, d], added in float64."""
    return codeword_sum(books, codes).astype(np.float32)


def agreement(codes: NDArray[np.int32], z: F32, tokenizer: Tokenizer, most: int = 2000) -> tuple[float, int]:
    """Share of the first latents z [n, d] whose nearest codewords are their codes [n, L], and how many it is of.

    1 where SIDs are greedy residual quantization of z; far below where z is another space, where a beam chose the
    codes, or where codes were moved apart.
    """
    nearest = tokenizer.encode_latent(z[:most]).codes
    return float((nearest == codes[:most]).all(axis=1).mean()), len(nearest)
