"""The small values between aggregation and presentation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drq_spark.schemas import Ruler


@dataclass(frozen=True)
class MetricRow:
    """A row of the metrics table; see `drq_spark.schemas.METRICS`."""

    metric: str
    level: int
    weighting: str
    eta: float | None
    value: float
    standard_error: float | None = None
    ruler: str | None = None


@dataclass(frozen=True)
class Scale:
    """How far a perturbation moves the latents.

    Attributes:
        ruler: what is perturbed. eta: its scale, see `schemas.METRICS`; None for a second version.
        sigma: RMS displacement per effective coordinate of W^l z, one number a level.
        standard_error: of sigma, one number a level; None where sigma is no estimate.
    """

    ruler: Ruler
    eta: float | None
    sigma: tuple[float, ...]
    standard_error: tuple[float, ...] | None = None


@dataclass(frozen=True)
class LevelUsage:
    """Use of the codes of one level: items int64 [K]; exposure float64 [K] or None."""

    items: NDArray[np.int64]
    exposure: NDArray[np.float64] | None


@dataclass(frozen=True)
class PrefixSums:
    """Sums over the occupied prefixes of one length: how many there are, their items, and sums over their counts n.

    The exposure sums are None without exposure.
    """

    occupied: int
    items: int
    shared_items: int
    largest: int
    sum_squares: int
    sum_n_log_n: float
    exposure: float | None
    exposure_squares: float | None
    exposure_log: float | None
