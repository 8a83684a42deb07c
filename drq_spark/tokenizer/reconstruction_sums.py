"""What the reconstructions of rows add to the fidelity figures of an assignment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from drq_spark.arrays import F32, F64
from drq_spark.vectors import cosines_of_products, row_cosines


@dataclass(frozen=True)
class ReconstructionSums:
    """Sums over n rows x with reconstructions y and latents z.

    Attributes:
        squared_error: Of ||x - y||^2.
        cosine: Of cos(x, y).
        square: Of ||x - a||^2 about the tokenizer's anchor a.
        offset: Of x - a, float64 [D].
        latent_square: The same as `square` for the latents, in the metric of what is left of them.
        latent_offset: The same as `offset` for the latents, float64 [d].
    """

    squared_error: float
    cosine: float
    square: float
    offset: F64
    latent_square: float
    latent_offset: F64


def sums_in_numpy(
    x: F32, z: F32, decoded: F64, anchor: tuple[F64, F64], weighed: Callable[[F64], F64]
) -> ReconstructionSums:
    """The sums of rows x [n, D] with latents z [n, d] and reconstructions decoded [n, D].

    Args:
        x, z, decoded: See above.
        anchor: Of the rows and of the latents.
        weighed: Takes differences of latents into the metric of what is left of them.
    """
    offset = x - anchor[0]
    latent_offset = weighed(z - anchor[1])
    return ReconstructionSums(
        squared_error=float(np.square(x - decoded).sum()),
        cosine=float(row_cosines(x.astype(np.float64), decoded).sum()),
        square=float(np.square(offset).sum()),
        offset=offset.sum(axis=0),
        latent_square=float(np.square(latent_offset).sum()),
        latent_offset=latent_offset.sum(axis=0),
    )


def sums_of_products(error: F64, square: F64, offset: F64, products: F64) -> ReconstructionSums:
    """The sums where rows are their own latents, from what `fast.account_pass.account_rows` leaves."""
    total = float(square.sum())
    cosines = cosines_of_products(products[:, 2], products[:, 0], products[:, 1])
    return ReconstructionSums(float(error.sum()), float(cosines.sum()), total, offset, total, offset)
