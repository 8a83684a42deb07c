"""The items that a draw looks at: their embeddings read in one pass over the catalogue, checked, and kept in staging.

What is drawn depends on which embeddings are usable, which only reading them tells. Which ones to read is known before,
by ids and keys alone, and so one pass serves several draws.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.hashing import key_bucket, sample_key
from drq_spark.inputs.embeddings import checked_rows
from drq_spark.inputs.items import Catalogue
from drq_spark.staging import Staging


@dataclass(frozen=True)
class CandidateRows:
    """Items whose embeddings have been read and checked; they lie in staging.

    Attributes:
        rows: item_id, sample_key, exposure, by_key (whether the item is there for its sample key), reason (NULL where
            the embedding is usable), embedding (array<float>).
        limit: Bucket of sample keys up to which all items are there; None where keys were not looked at.
        whole: Whether all items of the catalogue are there.
    """

    rows: DataFrame
    limit: int | None
    whole: bool


def look_at(
    catalogue: Catalogue,
    config: Config,
    staging: Staging,
    name: str,
    *,
    limit: int | None = None,
    items: DataFrame | None = None,
) -> CandidateRows:
    """Read and check items by their sample keys, or by id, or both; one reading of the embeddings, none shuffled.

    Args:
        catalogue: The items.
        config: Settings of the run.
        staging: Where they are kept.
        name: What they are kept as.
        limit: Bucket of sample keys up to which items are wanted; None: none for their keys.
        items: item_id, each once, of further items that are wanted; it is broadcast.
    """
    whole = limit == max(catalogue.profile.key_histogram)
    keyed = catalogue.df.withColumn("sample_key", sample_key(config.seed, config.sample.exposure_power))
    picked = keyed.withColumn("by_key", F.lit(True)) if whole else _picked(keyed, limit, items)
    schema = (
        f"item_id {catalogue.id_type}, sample_key double, exposure double, by_key boolean, reason string, "
        "embedding array<float>"
    )
    check = checked_rows(catalogue.profile.dim, config.items.normalize)
    rows = picked.select("item_id", "sample_key", "exposure", "by_key", "embedding").mapInArrow(check, schema)
    return CandidateRows(staging.keep(rows, name), limit, whole)


def _picked(keyed: DataFrame, limit: int | None, items: DataFrame | None) -> DataFrame:
    """The wanted ones among items with sample_key, and by_key."""
    by_key = F.lit(False) if limit is None else key_bucket(F.col("sample_key")) <= limit
    marked = keyed.withColumn("by_key", by_key)
    if items is None:
        return marked.where("by_key")
    named = F.broadcast(items.select("item_id", F.lit(True).alias("by_id")))
    return marked.join(named, "item_id", "left").where("by_key OR by_id")
