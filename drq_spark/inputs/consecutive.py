"""Items that follow one another in what a user does: the pairs that behaviour is learned from and judged by."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.hashing import held_out_user, pair_key, user_key


def consecutive(events: DataFrame, ids: DataFrame, config: Config) -> DataFrame:
    """All pairs of known items: item_id, next_item_id, pair_key, user_key, held_out.

    Args:
        events: As `inputs.events.read_events` gives them.
        ids: item_id of the known items, each once.
    """
    known = ids.select("item_id", F.lit(True).alias("known"))
    placed = events.where(F.col("user").isNotNull() & F.col("position").isNotNull()).join(known, "item_id", "left")
    sequence = Window.partitionBy("user").orderBy("position", F.col("item_id").cast("string"))
    following = placed.withColumns(
        {"next_item_id": F.lead("item_id").over(sequence), "next_known": F.lead("known").over(sequence)}
    )
    return following.where("known AND next_known AND item_id <> next_item_id").select(
        "item_id",
        "next_item_id",
        pair_key(config.seed).alias("pair_key"),
        user_key(config.seed).alias("user_key"),
        held_out_user(config.seed, config.events.holdout).alias("held_out"),
    )
