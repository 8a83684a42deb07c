"""Items that a SID has no room for, moved to their cheapest SID that has: `collisions.policy: spread`.

Who is at home in one of its SIDs (it has or holds a place there, or an item with the same embedding has one) goes
there. The others ask for their own SID first, and where it has no room for them for their other SIDs, as far as nobody
has these: deferred acceptance. So only items that were encoded move, and only those whose SID is contested. Thin rows
are all that is shuffled; of the embeddings those of contested items are read again, for what the other SIDs would cost
them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from drq_spark.arrays import F64
from drq_spark.assign.acceptance import granted
from drq_spark.assign.assignment import Assignment
from drq_spark.assign.contested import Claims, claims_of_items, contested
from drq_spark.assign.paths_worker import path_finder, paths_schema
from drq_spark.config import Collisions
from drq_spark.row_types import arrow_type, spark_schema
from drq_spark.ship import ship
from drq_spark.sid_columns import codes_of
from drq_spark.staging import Staging
from drq_spark.tokenizer import Tokenizer


def spread(
    done: Assignment,
    items: DataFrame,
    places: DataFrame | None,
    tokenizer: Tokenizer,
    settings: Collisions,
    staging: Staging,
) -> Assignment:
    """The assignment with items moved apart: rows have moved_from, and the totals are those of the new SIDs.

    Args:
        done: What was encoded.
        items: item_id, embedding of the same items.
        places: Places that are taken or held, see `suffix.places_of_readers`.
        tokenizer: What encoded them.
        settings: Capacity, candidates, who stays.
        staging: Folder for what the steps leave.
    """
    claims = claims_of_items(done.rows, places, settings, staging)
    asking = contested(claims, settings.capacity, staging)
    if asking.isEmpty():
        return done
    moves = staging.keep(
        _moves(_with_paths(asking, items, tokenizer, settings, staging), claims, settings, staging), "moves"
    )
    return done.moved(_moved(done.rows, moves, tokenizer), _summed(moves))


def _with_paths(
    asking: DataFrame, items: DataFrame, tokenizer: Tokenizer, settings: Collisions, staging: Staging
) -> DataFrame:
    """The contested items with their paths, see `paths_worker.paths_schema`."""
    wanted = items.select("item_id", "embedding").join(asking.select("item_id"), "item_id", "left_semi")
    shipped = ship(items.sparkSession, replace(tokenizer))  # a copy without what the driver has cached
    schema = spark_schema(paths_schema(arrow_type(items, "item_id")))
    found = wanted.mapInArrow(path_finder(shipped, settings.candidates), schema)
    return staging.keep(asking.join(found, "item_id"), "paths")


def _moves(paths: DataFrame, claims: Claims, settings: Collisions, staging: Staging) -> DataFrame:
    """item_id, sid, residual_norm, change (what the totals gain) of every item that gets another SID than its own."""
    at_home = F.array_position(F.transform("sids", lambda sid: F.array_contains("homes", sid)), True) - 1
    placed = paths.withColumn("place", F.coalesce(at_home.cast("int"), F.lit(-1)))
    homed = placed.where("place >= 0").drop("homes")
    same = Window.partitionBy("sid", claims.unit)
    rest = placed.where("place < 0").drop("place", "homes").withColumn("unit", F.min("item_id").over(same))
    shown = F.sum("exposure").over(same) if settings.stays == "exposure" else F.lit(None)
    speakers = rest.withColumn("exposure", shown.cast("double")).where("item_id = unit")
    given = granted(_asks(speakers, homed, claims, settings, staging), staging)
    moved = rest.join(given.where("place > 0"), "unit").drop("unit").unionByName(homed.where("place > 0"))
    return moved.select(
        "item_id",
        F.get("sids", F.col("place")).alias("sid"),
        F.get("norms", F.col("place")).alias("residual_norm"),
        _change(),
    )


def _change() -> Column:
    """Sums of the SID at `place` - those of the own one."""
    width = (F.size("sums") / F.size("sids")).cast("int")
    new, own = F.slice("sums", F.col("place") * width + 1, width), F.slice("sums", F.lit(1), width)
    return F.zip_with(new, own, lambda after, before: after - before).alias("change")


def _asks(speakers: DataFrame, homed: DataFrame, claims: Claims, settings: Collisions, staging: Staging) -> DataFrame:
    """unit, place, sid, strength, room of all SIDs of every unit that have room for it, its own at place 0.

    Among themselves the units that ask for their own SID share what its incumbents leave. Who comes from elsewhere gets
    what all of these leave.
    """
    every = speakers.select("unit", "costs", "exposure", F.posexplode("sids").alias("place", "sid"))
    asked = claims.asked(homed.select("item_id"), staging)
    load = every.join(asked, "sid", "left").join(claims.occupied(every), "sid", "left")
    before = F.when(F.col("place") == 0, 0).otherwise(F.coalesce("asked", F.lit(0)))
    room = (F.lit(settings.capacity) - F.coalesce("occupied", F.lit(0)) - before).cast("bigint")
    free = load.withColumns({"room": room, "cost": F.get("costs", F.col("place"))}).where("room > 0")
    after = F.lead("cost").over(Window.partitionBy("unit").orderBy("place"))
    return free.select("unit", "place", "sid", _strength(after - F.col("cost"), settings), "room")


def _strength(loss: Column, settings: Collisions) -> Column:
    """How strong a claim is: what is lost without it, everything where there is nowhere else to go; or the exposure."""
    strength = F.coalesce(loss, F.lit(float("inf"))) if settings.stays == "cost" else F.coalesce("exposure", F.lit(0.0))
    return strength.alias("strength")


def _moved(rows: DataFrame, moves: DataFrame, tokenizer: Tokenizer) -> DataFrame:
    """All rows, those of moved items with their new SID."""
    new = moves.select("item_id", F.col("sid").alias("new_sid"), F.col("residual_norm").alias("new_norm"))
    joined = rows.join(new, "item_id", "left")
    codes = codes_of("new_sid", tokenizer.codebook_sizes)
    is_moved = F.col("new_sid").isNotNull()
    return joined.withColumns(
        {
            "codes": F.when(is_moved, codes).otherwise(F.col("codes")),
            "moved_from": F.when(is_moved, F.col("sid")),
            "sid": F.coalesce("new_sid", "sid"),
            "residual_norm": F.coalesce("new_norm", "residual_norm"),
        }
    ).drop("new_sid", "new_norm")


def _summed(moves: DataFrame) -> F64:
    """`change` of all moves together, number by number."""
    numbers = moves.select(F.posexplode("change").alias("place", "number"))
    sums = numbers.groupBy("place").agg(F.sum("number").alias("sum")).toArrow().sort_by("place")
    return np.asarray(sums["sum"], np.float64)
