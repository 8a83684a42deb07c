"""Use of the prefixes of SIDs: distributed counts, and the sums of them that entropies are made of."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.measure.aggregates import PrefixSums
from drq_spark.tokenizer.keys import place_values


def shorter_prefixes(per_sid: DataFrame, codebook_sizes: tuple[int, ...]) -> DataFrame:
    """Items and exposure of every occupied prefix shorter than a SID: level, prefix (key), items, exposure.

    It takes one group-by on bigints, from the rows of `sid_counts`.
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
    """One `PrefixSums` per length, from the rows of `shorter_prefixes` and `sid_counts`."""
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
