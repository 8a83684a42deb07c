"""The SIDs with the most items, by name: the table sid_usage."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from drq_spark.long_groups import first_of_groups

_EXAMPLES = 5


def largest_sids(sids: DataFrame, per_sid: DataFrame, most: int) -> DataFrame:
    """The SIDs with the most items: rank, sid, codes, items, exposure, distinct_embeddings, examples.

    Args:
        sids: sid, codes, item_id, suffix of all items.
        per_sid: Rows of `sid_counts`.
        most: How many.
    """
    largest = per_sid.orderBy(F.desc("items"), "sid").limit(most)
    counts = ("items", "exposure", "distinct_embeddings")
    ranked = largest.select(F.row_number().over(Window.orderBy(F.desc("items"), "sid")).alias("rank"), "sid", *counts)
    members = sids.select("sid", "codes", "item_id", "suffix").join(F.broadcast(ranked), "sid")
    first = first_of_groups(members, "sid", ["suffix"], _EXAMPLES)
    examples = F.sort_array(F.collect_list(F.struct("place", "item_id"))).getField("item_id").alias("examples")
    shown = first.groupBy("rank", "sid", *counts).agg(F.first("codes").alias("codes"), examples)
    return shown.select("rank", "sid", "codes", *counts, "examples")
