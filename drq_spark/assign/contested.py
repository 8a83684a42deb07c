"""Which of the items that were encoded ask for a SID that has no room for all who do, and who is at home where."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.config import Collisions
from drq_spark.staging import Staging


@dataclass(frozen=True)
class Claims:
    """What the encoded items ask for.

    Attributes:
        unit: Column by which items count as one within a SID: embedding_hash, or item_id where each counts.
        asking: item_id, sid, embedding_hash, exposure, homes of the items that are not at home in their own SID, read
            from the staging folder. homes: the SIDs in which they, or an item with the same embedding, have a place;
            NULL for none.
        known: item_id, sid, held, embedding_hash of the places that are taken or held; None where there are none.
    """

    unit: str
    asking: DataFrame
    known: DataFrame | None

    def asked(self, staying_away: DataFrame | None, staging: Staging) -> DataFrame:
        """sid, asked: how many units ask for a SID that is their own, read from the staging folder.

        Args:
            staying_away: item_id of items that go elsewhere, and so do not count.
            staging: The folder.
        """
        if self.known is None and "asked" in staging.kept_once:  # nobody is at home anywhere
            return staging.read(self.asking.sparkSession, "asked")
        rows = self.asking if staying_away is None else self.asking.join(staying_away, "item_id", "left_anti")
        counted = rows.groupBy("sid").agg(F.count_distinct(self.unit).alias("asked"))
        return staging.keep_once(counted, "asked" if staying_away is None else "asked_at_last")

    def occupied(self, sids: DataFrame) -> DataFrame:
        """sid, occupied: how many units have or hold a place in the SIDs of a column sid; the others are left out."""
        if self.known is None:
            return sids.select("sid", F.lit(0).alias("occupied")).limit(0)
        places = self.known.join(sids.select("sid").distinct(), "sid", "left_semi")
        taken = F.when(F.col("held") == 0, F.col(self.unit))
        units = F.count_distinct(taken) + F.count_if(F.col("held") == 1)
        return places.groupBy("sid").agg(units.alias("occupied"))


def claims_of_items(rows: DataFrame, places: DataFrame | None, settings: Collisions, staging: Staging) -> Claims:
    """What encoded items ask for.

    Args:
        rows: item_id, sid, embedding_hash, exposure, read from the staging folder.
        places: As in `suffix.with_suffix`, with embedding_hash (NULL for held ones).
    """
    unit = "embedding_hash" if settings.duplicates == "together" else "item_id"
    encoded = rows.select("item_id", "sid", "embedding_hash", "exposure")
    if places is None:
        return Claims(unit, encoded.withColumn("homes", F.lit(None).cast("array<bigint>")), None)
    known = places.groupBy("item_id", "sid").agg(
        F.min("held").alias("held"), F.first("embedding_hash", ignorenulls=True).alias("embedding_hash")
    )
    homes = encoded.select("item_id").join(known.select("item_id", F.col("sid").alias("home")), "item_id")
    if unit == "embedding_hash":
        taken = known.where("held = 0").select("embedding_hash", F.col("sid").alias("home")).distinct()
        homes = homes.union(
            encoded.select("item_id", "embedding_hash").join(taken, "embedding_hash").select("item_id", "home")
        )
    of_item = homes.groupBy("item_id").agg(F.collect_set("home").alias("homes"))
    asking = encoded.join(of_item, "item_id", "left").where("homes IS NULL OR NOT array_contains(homes, sid)")
    return Claims(unit, staging.keep(asking, "asking"), known)


def contested(claims: Claims, capacity: int, staging: Staging) -> DataFrame:
    """The asking items whose SID has no room for all who ask for it, and those that may be at home elsewhere."""
    asked = claims.asked(None, staging)
    load = asked.join(claims.occupied(asked), "sid", "left")
    full = load.where(F.col("asked") + F.coalesce("occupied", F.lit(0)) > capacity).select(
        "sid", F.lit(True).alias("full")
    )
    rows = claims.asking.join(full, "sid", "left").where("full OR homes IS NOT NULL").drop("full")
    return staging.keep(rows, "contested")
