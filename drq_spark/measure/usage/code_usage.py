"""Use of the codes of every level: as arrays, and as the table code_usage."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.formulas.usage import LevelUsage


def level_usage(counted: pa.Table, codebook_sizes: tuple[int, ...]) -> tuple[LevelUsage, ...]:
    """One `LevelUsage` per level, from rows level (from 0), code, items, exposure of the codes in use."""
    level, code = counted["level"].to_numpy(), counted["code"].to_numpy()
    exposure = counted["exposure"].to_numpy()
    with_exposure = counted["exposure"].null_count == 0
    usage = []
    for index, size in enumerate(codebook_sizes):
        here = level == index
        items = np.zeros(size, np.int64)
        items[code[here]] = counted["items"].to_numpy()[here]
        shown = np.zeros(size)
        shown[code[here]] = exposure[here]
        usage.append(LevelUsage(items, shown if with_exposure else None))
    return tuple(usage)


def usage_table(spark: SparkSession, usage: tuple[LevelUsage, ...]) -> DataFrame:
    """Every code of every level, unused ones included: level, code, items, exposure."""
    parts = []
    for level, counts in enumerate(usage, start=1):
        size = len(counts.items)
        exposure = pa.nulls(size, pa.float64()) if counts.exposure is None else pa.array(counts.exposure)
        levels, codes = np.full(size, level, np.int32), np.arange(size, dtype=np.int32)
        columns = [pa.array(levels), pa.array(codes), pa.array(counts.items), exposure]
        parts.append(pa.table(columns, names=["level", "code", "items", "exposure"]))
    return spark.createDataFrame(pa.concat_tables(parts))


def use() -> tuple[Column, Column]:
    """Items and exposure of a group of rows of the sids table."""
    return F.count(F.lit(1)).alias("items"), F.sum("exposure").alias("exposure")
