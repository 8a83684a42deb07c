"""The small values between aggregation and presentation: one figure, and the use of one level's codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MetricRow:
    """A row of the metrics table; see `drq_spark.schemas.METRICS`."""

    metric: str
    level: int
    weighting: str
    eta: float | None
    value: float
    standard_error: float | None = None


@dataclass(frozen=True)
class LevelUsage:
    """Use of the codes of one level: items int64 [K]; exposure float64 [K] or None."""

    items: NDArray[np.int64]
    exposure: NDArray[np.float64] | None
