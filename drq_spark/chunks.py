"""Rows of a table on the driver, chunk by chunk, in the order of a key."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import ceil

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.rows import one_row

_CHUNK_BYTES = 2**25


def chunks(df: DataFrame, key: str, size: int) -> Iterator[pa.Table]:
    """Rows in the order of a key and the ids, in parts of about `_CHUNK_BYTES` where all take `size` bytes."""
    count = max(1, ceil(size / _CHUNK_BYTES))
    cuts = _cuts(df, key, [part / count for part in range(1, count)]) if count > 1 else []
    for low, high in pairwise([None, *cuts, None]):
        above = F.lit(True) if low is None else F.col(key) > low
        below = F.lit(True) if high is None else F.col(key) <= high
        chunk = df.where(above & below).toArrow()
        ids = [name for name in ("item_id", "next_item_id") if name in chunk.column_names]
        yield chunk.sort_by([(name, "ascending") for name in (key, *ids)])


def _cuts(df: DataFrame, key: str, shares: list[float]) -> list[float]:
    return list(one_row(df.agg(F.percentile_approx(key, shares).alias("cuts"))).cuts)


def embedding_matrix(chunk: pa.Table, dim: int) -> NDArray[np.float32]:
    """float32 [n, dim] of the column embedding (array<float>, no NULLs)."""
    return np.asarray(chunk.column("embedding").combine_chunks().flatten().to_numpy().reshape(-1, dim))
