"""The items that the smallest change of their embeddings may give another SID."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def items_at_risk(sids: DataFrame, most: int = 50) -> DataFrame:
    """The items with the smallest margins over all levels: rank, item_id, codes, at_level, smallest_margin, exposure.

    Margins that are NULL or NaN do not count; an item that has no other is left out. Where margins are equal, the first
    level of an item counts, and items are in the order of their ids. Every partition sends its first `most` thin rows.
    """
    placed = F.transform("margin", lambda margin, index: F.struct(margin.alias("margin"), (index + 1).alias("level")))
    usable = F.filter(placed, lambda entry: entry["margin"].isNotNull() & ~F.isnan(entry["margin"]))
    smallest = sids.withColumn("smallest", F.array_min(usable)).where("smallest IS NOT NULL")
    first = smallest.orderBy("smallest.margin", "item_id").limit(most)
    rank = F.row_number().over(Window.orderBy("smallest.margin", "item_id"))
    return first.select(
        rank.alias("rank"),
        "item_id",
        "codes",
        F.col("smallest.level").alias("at_level"),
        F.col("smallest.margin").alias("smallest_margin"),
        "exposure",
    )
