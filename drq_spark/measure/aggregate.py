"""Distributed counts over the sids table of a run; what reaches the driver does not grow with the catalogue."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, Row, SparkSession, Window
from pyspark.sql import functions as F

from drq_spark.measure.values import LevelUsage, PrefixSums
from drq_spark.tokenizer.keys import place_values

_MOST_MATCHED_CODES = 4096  # the matching is cubic in K and its matrix K x K
_EXAMPLES = 5


def code_usage(sids: DataFrame, codebook_sizes: tuple[int, ...]) -> tuple[LevelUsage, ...]:
    """Items and exposure of every code of every level; L x K numbers reach the driver."""
    exploded = sids.select(F.posexplode("codes").alias("level", "code"), "exposure")
    counted = exploded.groupBy("level", "code").agg(*_use())
    rows = counted.toArrow()
    level, code = rows["level"].to_numpy(), rows["code"].to_numpy()
    exposure = rows["exposure"].to_numpy()
    with_exposure = rows["exposure"].null_count == 0
    usage = []
    for index, size in enumerate(codebook_sizes):
        here = level == index
        items = np.zeros(size, np.int64)
        items[code[here]] = rows["items"].to_numpy()[here]
        shown = np.zeros(size)
        shown[code[here]] = exposure[here]
        usage.append(LevelUsage(items, shown if with_exposure else None))
    return tuple(usage)


def prefix_counts(sids: DataFrame, codebook_sizes: tuple[int, ...]) -> DataFrame:
    """Items and exposure of every occupied prefix of every length: level, prefix (key), items, exposure.

    Two group-bys on bigints: items by SID, then SIDs by prefix.
    """
    per_sid = sids.groupBy("sid").agg(*_use())
    prefixes = F.array(
        *[
            F.struct(F.lit(level + 1).alias("level"), F.expr(f"sid div {value}").alias("prefix"))
            for level, value in enumerate(place_values(codebook_sizes).tolist())
        ]
    )
    exploded = per_sid.select(F.explode(prefixes).alias("at"), "items", "exposure")
    sums = (F.sum("items").alias("items"), F.sum("exposure").alias("exposure"))
    return exploded.groupBy("at.level", "at.prefix").agg(*sums)


def prefix_sums(prefixes: DataFrame) -> tuple[PrefixSums, ...]:
    """One `PrefixSums` per length, from the rows of `prefix_counts`."""
    n, e = F.col("items"), F.col("exposure")
    whole = n.cast("decimal(18,0)")  # the square of a count may be beyond a bigint
    rows = (
        prefixes.groupBy("level")
        .agg(
            F.count(F.lit(1)).alias("occupied"),
            F.sum(n).alias("items"),
            F.coalesce(F.sum(F.when(n > 1, n)), F.lit(0)).alias("shared_items"),
            F.max(n).alias("largest"),
            F.sum(whole * whole).alias("sum_squares"),
            F.sum(n * F.log(n.cast("double"))).alias("sum_n_log_n"),
            F.sum(e).alias("exposure"),
            F.sum(e * e).alias("exposure_squares"),
            F.sum(F.when(e > 0, e * F.log(e)).otherwise(e)).alias("exposure_log"),
        )
        .orderBy("level")
        .collect()
    )
    return tuple(_prefix_sums(row) for row in rows)


def _prefix_sums(row: Row) -> PrefixSums:
    values = row.asDict()
    values.pop("level")
    return PrefixSums(**{**values, "sum_squares": int(values["sum_squares"])})


def distinct_embeddings(sids: DataFrame) -> int | None:
    """Different embeddings among the items, by their 64-bit hashes; None where one is not known."""
    different = sids.select("embedding_hash").distinct()
    row = different.agg(F.count(F.lit(1)).alias("all"), F.count("embedding_hash").alias("known")).first()
    assert row is not None  # an aggregation without keys has one row
    return int(row["all"]) if row["all"] == row["known"] else None


def top_buckets(sids: DataFrame, prefixes: DataFrame, levels: int, most: int) -> DataFrame:
    """The SIDs with the most items: rank, sid, codes, items, exposure, distinct_embeddings, examples."""
    largest = prefixes.where(F.col("level") == levels).orderBy(F.desc("items"), "prefix").limit(most)
    ranked = largest.select(
        F.row_number().over(Window.orderBy(F.desc("items"), "prefix")).alias("rank"), F.col("prefix").alias("sid")
    )
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


def code_changes(
    before: DataFrame, after: DataFrame, codebook_sizes: tuple[int, ...]
) -> tuple[NDArray[np.int64] | None, ...]:
    """Per level, how many items went from each code to each: int64 [K, K], for the items of both runs.

    None where K is above what a matching can be found for.
    """
    both = before.select("item_id", F.col("codes").alias("old")).join(after.select("item_id", "codes"), "item_id")
    pairs = both.select(F.posexplode(F.arrays_zip("old", "codes")).alias("level", "pair"))
    tables: list[NDArray[np.int64] | None] = []
    for level, size in enumerate(codebook_sizes):
        if size > _MOST_MATCHED_CODES:
            tables.append(None)
            continue
        counted = pairs.where(F.col("level") == level).groupBy("pair.old", "pair.codes").count().toArrow()
        table = np.zeros((size, size), np.int64)
        table[counted["old"].to_numpy(), counted["codes"].to_numpy()] = counted["count"].to_numpy()
        tables.append(table)
    return tuple(tables)


def moved_items(before: DataFrame, after: DataFrame) -> tuple[int, int]:
    """Items in both runs, and those among them whose whole SID differs."""
    both = before.select("item_id", F.col("codes").alias("old")).join(after.select("item_id", "codes"), "item_id")
    row = both.agg(F.count(F.lit(1)).alias("items"), F.count_if(F.col("old") != F.col("codes")).alias("moved")).first()
    assert row is not None  # an aggregation without keys has one row
    return int(row["items"]), int(row.moved)


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


def _use() -> tuple[Column, Column]:
    return F.count(F.lit(1)).alias("items"), F.sum("exposure").alias("exposure")
