"""The sample table as one matrix on the driver, chunk by chunk, in the order of the keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

_CHUNK_BYTES = 2**26


@dataclass(frozen=True)
class Sample:
    """Rows of the sample in key order.

    Attributes:
        x: float32 [n, D], raw embeddings. fingerprint: of ids and embeddings, 16 hex digits.
    """

    x: NDArray[np.float32]
    fingerprint: str


def load_sample(sample: DataFrame, dim: int) -> Sample:
    """Read the sample table (item_id, sample_key, embedding) of one run; memory is the matrix and one chunk."""
    rows = sample.count()
    x = np.empty((rows, dim), np.float32)
    digest, filled = hashlib.sha256(), 0
    for chunk in _chunks(sample, rows, dim):
        ordered = chunk.sort_by([("sample_key", "ascending"), ("item_id", "ascending")])
        block = ordered.column("embedding").combine_chunks().flatten().to_numpy().reshape(-1, dim)
        digest.update("\0".join(ordered.column("item_id").cast(pa.string()).to_pylist()).encode())
        digest.update(block.tobytes())
        x[filled : filled + len(block)] = block
        filled += len(block)
    return Sample(x, digest.hexdigest()[:16])


def _chunks(sample: DataFrame, rows: int, dim: int) -> Iterator[pa.Table]:
    count = max(1, ceil(rows * dim * 4 / _CHUNK_BYTES))
    shares = [part / count for part in range(1, count)]
    cuts = sample.agg(F.percentile_approx("sample_key", shares)).first()[0] if shares else []
    low = -1.0
    for high in [*cuts, float("inf")]:
        yield sample.where((F.col("sample_key") > low) & (F.col("sample_key") <= high)).toArrow()
        low = high
