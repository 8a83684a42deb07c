"""The SIDs with the most items, by name: the table sid_usage."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

_EXAMPLES = 5


def largest_sids(sids: DataFrame, per_sid: DataFrame, most: int) -> DataFrame:
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
