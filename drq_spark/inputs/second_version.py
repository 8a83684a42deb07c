"""The second version of the items table: the same items with the embeddings that a later model gives them."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.inputs.catalogue_profile import embedding_length
from drq_spark.inputs.embedding_columns import may_be_other_bytes, refuse_other_bytes
from drq_spark.inputs.fingerprint import content_hash, sums
from drq_spark.inputs.items import Catalogue, canonical
from drq_spark.inputs.repeated_ids import VERSION, one_row_per_id
from drq_spark.inputs.tables import damage_refused, read_table
from drq_spark.rows import one_row

_WHAT = "measure.embeddings_after table"


def read_after(spark: SparkSession, config: Config, id_type: str) -> DataFrame | None:
    """item_id (of the items' type) and embedding, one row per id; None where the config names no second version.

    Its columns have the names that the items table's have. Of several rows with one id the one stays that would stay
    in the items table; rows without an id are left out.

    Raises:
        InputRefused: it cannot be read, a column is missing or of an unusable type, ids are of a type that cannot
            match, or no row has an id.
        ConfigError: a second version is named and no items.
    """
    rows = _rows(spark, config, id_type)
    if rows is None:
        return None
    path = str(config.measure.embeddings_after)
    with damage_refused(path, _WHAT):
        counts = one_row(rows.agg(F.count("item_id").alias("rows"), F.count_distinct("item_id").alias("ids")))
    _require_ids(counts.ids, path)
    kept, _ = one_row_per_id(rows, embedding_length(rows), duplicates=counts.rows > counts.ids)
    return kept.select("item_id", "embedding")


def after_fingerprint(spark: SparkSession, config: Config, id_type: str) -> str | None:
    """What stands for all rows, whatever their order and files; None where the config names no second version.

    Raises:
        InputRefused, ConfigError: as `read_after`.
    """
    rows = _rows(spark, config, id_type)
    if rows is None:
        return None
    path = str(config.measure.embeddings_after)
    hashed = F.xxhash64("item_id", "embedding_hash", *([VERSION] if VERSION in rows.columns else []))
    with damage_refused(path, _WHAT):
        groups = rows.agg(*sums(hashed), F.count("item_id").alias("ids")).collect()
    _require_ids(groups[0].ids, path)
    return content_hash(groups)


def check_after(spark: SparkSession, config: Config, catalogue: Catalogue) -> None:
    """Check that the second version, where the config names one, is of the same items and of the same length.

    Raises:
        InputRefused: it cannot be read, shares no id with the items, none of those has an embedding of the length that
            theirs have, or several rows of an id and no `items.version` column in it.
    """
    rows = _rows(spark, config, catalogue.id_type)
    if rows is None:
        return
    path, dim = str(config.measure.embeddings_after), catalogue.profile.dim
    sized = rows.select("item_id", embedding_length(rows).alias("length"))
    with damage_refused(path, _WHAT):
        found = one_row(
            sized.join(catalogue.df.select("item_id"), "item_id", "left_semi").agg(
                F.count(F.lit(1)).alias("rows"),
                F.count_distinct("item_id").alias("ids"),
                F.count_if(F.col("length") == dim).alias("fitting"),
                F.mode("length").alias("usual"),
            )
        )
    if not found.ids:
        raise InputRefused(f"{_WHAT} {path!r} has no id of the items table: both must name the same items")
    if not found.fitting:
        have = "none" if found.usual is None else f"{found.usual} numbers"
        raise InputRefused(
            f"{_WHAT} {path!r}: embeddings have {have}, those of the items table {dim}; how far embeddings move is "
            "measured between versions of one length"
        )
    if found.rows > found.ids and config.items.version is not None and VERSION not in rows.columns:
        raise InputRefused(
            f"{_WHAT} {path!r} has {found.rows - found.ids:,} rows more than ids, and no column "
            f"{config.items.version!r} (items.version) that tells the newest"
        )


def _require_ids(ids: int, path: str) -> None:
    if not ids:
        raise InputRefused(f"{_WHAT} {path!r} has no row with an id of an item")


def _rows(spark: SparkSession, config: Config, id_type: str) -> DataFrame | None:
    """All rows under the names of the catalogue; an id that the type cannot hold is NULL, for no item has it."""
    if config.measure.embeddings_after is None:
        return None
    if config.items.path is None:
        raise ConfigError("measure.embeddings_after is compared with the items' embeddings: give --items PATH_OR_TABLE")
    source = read_table(spark, config.measure.embeddings_after, _WHAT)
    version = config.items.version if config.items.version in source.columns else None
    columns = config.items.model_copy(update={"exposure": None, "version": version})
    rows = canonical(source, columns, _WHAT, id_type)
    if may_be_other_bytes(rows, config.items):
        with damage_refused(config.measure.embeddings_after, _WHAT):
            refuse_other_bytes(rows, config.items, _WHAT)
    return rows
