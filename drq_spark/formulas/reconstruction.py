"""How much of the embeddings and latents the codes rebuild."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F64
from drq_spark.formulas.ratios import ratio


def relative_mse(squared_error: float, centred_square: float) -> float:
    """sum ||x - x_hat||^2 / sum ||x - m||^2: 0 is perfect, 1 no better than the mean m for every item.

    It is nan where the items do not vary: there is nothing to explain, and any error would be infinite.

    >>> relative_mse(1.0, 4.0)
    0.25
    """
    return ratio(squared_error, centred_square)


def centred_square_sum(square_about_reference: float, sum_about_reference: NDArray[np.floating], items: int) -> float:
    """sum ||x - m||^2 = sum ||x - c||^2 - ||sum (x - c)||^2 / N, m the mean, c any fixed point near it (shifted data).

    Args:
        square_about_reference: sum ||x - c||^2.
        sum_about_reference: sum (x - c), [D].
        items: N.

    Returns:
        At least 0, for rounding may not make it negative; nan without items.

    >>> centred_square_sum(5.0, np.array([3.0]), 2)  # x = 1, 2 about c = 0; mean 1.5
    0.5
    """
    if items <= 0:
        return float("nan")
    drift = float(np.square(np.asarray(sum_about_reference, np.float64)).sum()) / items
    return max(0.0, float(square_about_reference) - drift)


def residual_share(residual_square: NDArray[np.floating], latent_centred_square: float) -> F64:
    """sum ||r^{l+1}||^2 / sum ||z - m_z||^2 per level, [L]: what is left of the latents' spread; nan without spread.

    >>> residual_share(np.array([2.0, 1.0]), 4.0).tolist()
    [0.5, 0.25]
    """
    return np.array([ratio(left, latent_centred_square) for left in residual_square], np.float64)
