"""The sample table as one matrix on the driver, chunk by chunk, in the order of the keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from math import ceil

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.sample.values import Sample

_CHUNK_BYTES = 2**25


def load_sample(sample: DataFrame, dim: int) -> Sample:
    """Read the sample table (item_id, sample_key, embedding) of one run; memory is the matrix and one chunk."""
    rows = sample.count()
    x = np.empty((rows, dim), np.float32)
    ids, vectors, filled = hashlib.sha256(), hashlib.sha256(), 0  # two, so that chunks leave no mark
    for chunk in _chunks(sample, rows, dim):
        ordered = chunk.sort_by([("sample_key", "ascending"), ("item_id", "ascending")])
        block = ordered.column("embedding").combine_chunks().flatten().to_numpy().reshape(-1, dim)
        ids.update("".join(f"{item}\0" for item in ordered.column("item_id").cast(pa.string()).to_pylist()).encode())
        vectors.update(block.tobytes())
        x[filled : filled + len(block)] = block
        filled += len(block)
    pa.default_memory_pool().release_unused()  # Arrow would keep what the chunks took
    return Sample(x, hashlib.sha256(ids.digest() + vectors.digest()).hexdigest()[:16])


def _chunks(sample: DataFrame, rows: int, dim: int) -> Iterator[pa.Table]:
    count = max(1, ceil(rows * dim * 4 / _CHUNK_BYTES))
    shares = [part / count for part in range(1, count)]
    low = -1.0
    for high in [*(_cuts(sample, shares) if shares else []), float("inf")]:
        yield sample.where((F.col("sample_key") > low) & (F.col("sample_key") <= high)).toArrow()
        low = high


def _cuts(sample: DataFrame, shares: list[float]) -> list[float]:
    row = sample.agg(F.percentile_approx("sample_key", shares).alias("cuts")).first()
    assert row is not None  # an aggregation without keys has one row
    return list(row.cuts)
