"""Items that follow one another in what a user does: the pairs that behaviour is learned from and judged by."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.hashing import held_out_user, pair_key, user_key


def with_following(events: DataFrame, config: Config) -> DataFrame:
    """Every event of an item: item_id, next_item_id, pair_key, user_key, held_out.

    next_item_id is the item of the user's next event where that is another item, else NULL. An event without a user or
    a position is no part of any sequence. An event of no item has no row here and does not make its neighbours a pair.

    Args:
        events: As `inputs.events.read_events` gives them.
    """
    loose = F.col("user").isNull() | F.col("position").isNull()
    # events that follow nothing need not come together: there may be too many of them for one task
    apart = F.when(loose, F.spark_partition_id())
    placed = events.withColumns({"loose": loose, "apart": apart})
    sequence = Window.partitionBy("user", "apart").orderBy("position", F.col("item_id").cast("string"))
    following = placed.withColumn("next_item_id", F.lead("item_id").over(sequence)).where("item_id IS NOT NULL")
    pair = ~F.col("loose") & (F.col("item_id") != F.col("next_item_id"))
    return following.withColumn("next_item_id", F.when(pair, F.col("next_item_id"))).select(
        "item_id",
        "next_item_id",
        pair_key(config.seed).alias("pair_key"),
        user_key(config.seed).alias("user_key"),
        held_out_user(config.seed, config.events.holdout).alias("held_out"),
    )


def between(pairs: DataFrame, items: DataFrame) -> DataFrame:
    """The pairs (item_id, next_item_id and more) with both ends among the items (item_id and more)."""
    ids = items.select("item_id")
    one_end = pairs.join(ids, "item_id", "left_semi")
    return one_end.join(ids.withColumnRenamed("item_id", "next_item_id"), "next_item_id", "left_semi")
