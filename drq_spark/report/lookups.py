"""Bounded questions to the tables of a run: a few items, pairs and neighbours to show by name."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, Row, Window
from pyspark.sql import functions as F

from drq_spark.formulas.usage import LevelUsage
from drq_spark.metrics import Ruler
from drq_spark.tokenizer.keys import place_values

_CHOSEN = 8
_NEIGHBOURS = 5
_PAIRS = 10  # confused pairs a level
_NAMED = 3  # items shown of a code, at most


def usage_of_codes(code_usage: DataFrame, codebook_sizes: tuple[int, ...]) -> tuple[LevelUsage, ...]:
    """Items and exposure of every code of every level, from the code_usage table, which has unused codes as well."""
    counted = code_usage.select("level", "code", "items", "exposure").orderBy("level", "code").toArrow()
    starts = np.cumsum((0, *codebook_sizes))
    usage = []
    for start, size in zip(starts, codebook_sizes, strict=False):
        rows = counted.slice(start, size)
        shown = None if rows["exposure"].null_count else rows["exposure"].to_numpy()
        usage.append(LevelUsage(rows["items"].to_numpy(), shown))
    return tuple(usage)


def examples(sids: DataFrame, codebook_sizes: tuple[int, ...]) -> tuple[list[Any], dict[Any, list[Any]]]:
    """The most exposed items (by hash of the id without exposure) and the items nearest to each in SID space."""
    order = [F.desc_nulls_last("exposure"), F.xxhash64("item_id"), F.asc("item_id")]
    chosen = sids.orderBy(*order).limit(_CHOSEN).select("item_id", "codes", "sid", "exposure").collect()
    if not chosen:
        return [], {}
    first = int(place_values(codebook_sizes)[0])
    thin = sids.select("item_id", "codes", "sid", "suffix", "exposure")
    seeds = thin.where(F.col("item_id").isin([row.item_id for row in chosen]))
    prefix = F.expr(f"sid div {first}").alias("prefix")
    seeds = seeds.select(F.col("item_id").alias("seed"), F.col("codes").alias("seed_codes"), prefix)
    joined = thin.select("*", prefix).join(F.broadcast(seeds), "prefix").where("item_id != seed")
    shared = sum(
        (
            F.when(F.slice("codes", 1, level) == F.slice("seed_codes", 1, level), 1).otherwise(0)
            for level in range(1, len(codebook_sizes) + 1)
        ),
        F.lit(0),
    )
    window = Window.partitionBy("seed").orderBy(F.desc("shared"), F.desc_nulls_last("exposure"), "item_id")
    ranked = joined.withColumn("shared", shared).withColumn("place", F.row_number().over(window))
    near: dict[Any, list[Any]] = {}
    for row in ranked.where(F.col("place") <= _NEIGHBOURS).orderBy("seed", "place").collect():
        near.setdefault(row.seed, []).append(row)
    return chosen, near


def confused_pairs(confusion: DataFrame | None, eta: float) -> list[Row]:
    """The most confused pairs of codes of every level under noise of `eta` on the latents."""
    if confusion is None:
        return []
    here = confusion.where((F.col("ruler") == Ruler.LATENT.value) & (F.col("eta") == eta))
    largest = Window.partitionBy("level").orderBy(F.desc("items"), "code", "other")
    ranked = here.withColumn("place", F.row_number().over(largest)).where(F.col("place") <= _PAIRS)
    return ranked.select("level", "code", "other", "items", "place").orderBy("level", "place").collect()


def items_of_codes(sids: DataFrame, wanted: Collection[tuple[int, int]]) -> dict[tuple[int, int], list[Any]]:
    """Ids of much exposed items of each (level, code).

    The items of a code are dealt into three parts by hash, and the most exposed of each is taken: a group-by whose
    partial results are as small as its result.
    """
    if not wanted:
        return {}
    codes = sids.select("item_id", "exposure", F.posexplode("codes").alias("index", "code"))
    keys = sids.sparkSession.createDataFrame(sorted(wanted), "level int, code int")
    mine = codes.withColumn("level", F.col("index") + 1).join(F.broadcast(keys), ["level", "code"])
    hashed = F.xxhash64("item_id")
    best = F.max_by("item_id", F.struct(F.coalesce("exposure", F.lit(-1.0)), hashed, "item_id"))
    rows = mine.groupBy("level", "code", F.pmod(hashed, F.lit(_NAMED)).alias("part")).agg(best.alias("item_id"))
    found: dict[tuple[int, int], list[Any]] = {}
    for row in rows.orderBy("level", "code", "part").collect():
        found.setdefault((row.level, row.code), []).append(row.item_id)
    return found
