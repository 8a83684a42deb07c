"""Distributed counts over the sids table of a run; what reaches the driver does not grow with the catalogue."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from drq_spark.formulas.usage import LevelUsage
from drq_spark.measure.aggregates import PrefixSums
from drq_spark.tokenizer.keys import place_values

_EXAMPLES = 5


def code_usage(sids: DataFrame, codebook_sizes: tuple[int, ...]) -> tuple[LevelUsage, ...]:
    """Items and exposure of every code of every level; L x K numbers reach the driver."""
    exploded = sids.select(F.posexplode("codes").alias("level", "code"), "exposure")
    return level_usage(exploded.groupBy("level", "code").agg(*use()).toArrow(), codebook_sizes)


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


def shorter_prefixes(per_sid: DataFrame, codebook_sizes: tuple[int, ...]) -> DataFrame:
    """Items and exposure of every occupied prefix shorter than a SID: level, prefix (key), items, exposure.

    One group-by on bigints, from the rows of `collisions.sid_counts`.
    """
    prefixes = F.array(
        *[
            F.struct(F.lit(level + 1).alias("level"), F.expr(f"sid div {value}").alias("prefix"))
            for level, value in enumerate(place_values(codebook_sizes)[:-1].tolist())
        ]
    ).cast("array<struct<level: int, prefix: bigint>>")  # one level alone has none, and an empty array no type
    exploded = per_sid.select(F.explode(prefixes).alias("at"), "items", "exposure")
    sums = (F.sum("items").alias("items"), F.sum("exposure").alias("exposure"))
    return exploded.groupBy("at.level", "at.prefix").agg(*sums)


def prefix_sums(shorter: DataFrame, per_sid: DataFrame, levels: int) -> tuple[PrefixSums, ...]:
    """One `PrefixSums` per length, from the rows of `shorter_prefixes` and `collisions.sid_counts`."""
    whole = per_sid.select(F.lit(levels).alias("level"), "items", "exposure")
    n, e = F.col("items"), F.col("exposure")
    rows = (
        shorter.select("level", "items", "exposure")
        .unionByName(whole)
        .groupBy("level")
        .agg(
            F.count(F.lit(1)).alias("occupied"),
            F.sum(n).alias("items"),
            F.sum(n * F.log(n.cast("double"))).alias("sum_n_log_n"),
            F.sum(e).alias("exposure"),
            F.sum(F.when(e > 0, e * F.log(e)).otherwise(e)).alias("exposure_log"),
        )
        .orderBy("level")
        .drop("level")
        .collect()
    )
    return tuple(PrefixSums(**row.asDict()) for row in rows)


def top_buckets(sids: DataFrame, per_sid: DataFrame, most: int) -> DataFrame:
    """The SIDs with the most items: rank, sid, codes, items, exposure, distinct_embeddings, examples."""
    largest = per_sid.orderBy(F.desc("items"), "sid").limit(most)
    ranked = largest.select(F.row_number().over(Window.orderBy(F.desc("items"), "sid")).alias("rank"), "sid")
    members = sids.join(F.broadcast(ranked), "sid")
    order = Window.partitionBy("sid").orderBy("suffix")
    numbered = members.withColumn("place", F.row_number().over(order))
    example = F.when(F.col("place") <= _EXAMPLES, F.struct("place", "item_id"))
    different = F.when(F.count("embedding_hash") == F.count(F.lit(1)), F.count_distinct("embedding_hash"))
    return numbered.groupBy("rank", "sid").agg(
        F.first("codes").alias("codes"),
        F.count(F.lit(1)).alias("items"),
        F.sum("exposure").alias("exposure"),
        different.alias("distinct_embeddings"),
        F.sort_array(F.collect_list(example)).getField("item_id").alias("examples"),
    )


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
