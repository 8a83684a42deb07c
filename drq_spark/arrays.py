"""Short names of the array types that signatures are full of, and a column that users give beside embeddings."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drq_spark.errors import InputRefused

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]


def exposure_of_rows(exposure: ArrayLike | None, rows: int) -> F64 | None:
    """How often each of n rows is shown, float64 [n], or None where nothing is known.

    Raises:
        InputRefused: not one number from 0 a row.
    """
    if exposure is None:
        return None
    shown = np.asarray(exposure)
    if shown.shape != (rows,) or shown.dtype.kind not in "iuf":
        raise InputRefused(f"exposure must be {rows:,} numbers, one a row of x, not {shown.dtype} {shown.shape}")
    if not (np.isfinite(shown) & (shown >= 0)).all():
        raise InputRefused("exposure must be numbers from 0, and some are negative, NaN or infinite")
    return shown.astype(np.float64)
