"""What a night does with every item that does not stay as it is: rows of `schemas.NIGHT_SIDS`."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from drq_spark.schemas import Change

_KEPT = ("codes", "sid", "suffix", "margin", "residual_norm", "embedding_hash", "moved_from")


def night_rows(numbered: DataFrame, differing: DataFrame, base: DataFrame, keep_gone: int) -> DataFrame:
    """Rows of items that are added, moved, refreshed, back, gone or removed, without what says which run they are of.

    An item whose embedding cannot be used any more counts as gone.

    Args:
        numbered: item_id, codes, sid, suffix, margin, residual_norm, embedding_hash, moved_from of the items that were
            encoded.
        differing: `differences.Differences.rows`.
        base: Rows of `schemas.CURRENT_SIDS` before the night.
        keep_gone: Nights that an item stays after it has left the catalogue.
    """
    known = differing.where("known").select("item_id", (F.col("here") & F.col("same")).alias("is_back"))
    before = base.join(known, "item_id")
    old = before.select("item_id", F.col("sid").alias("old_sid"), F.col("suffix").alias("old_suffix"))
    encoded = numbered.select("item_id", *_KEPT).join(old, "item_id", "left")
    stays = (F.col("old_sid") == F.col("sid")) & (F.col("old_suffix") == F.col("suffix"))
    change = F.when(F.col("old_sid").isNull(), _named(Change.ADDED)).when(stays, _named(Change.REFRESHED))
    arrived = encoded.withColumns({"change": change.otherwise(_named(Change.MOVED)), "gone_nights": F.lit(0)})
    others = before.join(numbered.select("item_id"), "item_id", "left_anti")
    nights = F.when(F.col("is_back"), 0).otherwise(F.col("gone_nights") + 1)
    fate = F.when(F.col("is_back"), _named(Change.BACK)).when(F.col("gone_nights") < keep_gone, _named(Change.GONE))
    left = others.select(
        "item_id",
        *_KEPT,
        F.col("sid").alias("old_sid"),
        F.col("suffix").alias("old_suffix"),
        fate.otherwise(_named(Change.REMOVED)).alias("change"),
        nights.cast("int").alias("gone_nights"),
    )
    return arrived.unionByName(left)


def _named(change: Change) -> Column:
    return F.lit(change.value)
