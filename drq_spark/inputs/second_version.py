"""The second version of the items table: the same items with the embeddings that a later model gives them."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from drq_spark.config import Config
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.inputs.embedding_columns import may_be_other_bytes, refuse_other_bytes
from drq_spark.inputs.fingerprint import content_hash, sums
from drq_spark.inputs.items import canonical, one_row_per_id
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
    kept, _ = one_row_per_id(rows, duplicates=counts.rows > counts.ids)
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
    with damage_refused(path, _WHAT):
        groups = rows.agg(*sums(F.xxhash64("item_id", "embedding_hash")), F.count("item_id").alias("ids")).collect()
    _require_ids(groups[0].ids, path)
    return content_hash(groups)


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
    rows = canonical(source, config.items.model_copy(update={"exposure": None}), _WHAT)
    if may_be_other_bytes(rows, config.items):
        with damage_refused(config.measure.embeddings_after, _WHAT):
            refuse_other_bytes(rows, config.items, _WHAT)
    _check_id_type(rows, config, id_type)
    return rows.withColumn("item_id", F.col("item_id").try_cast(id_type))


def _check_id_type(rows: DataFrame, config: Config, id_type: str) -> None:
    own = rows.schema["item_id"].dataType
    if isinstance(own, T.StringType) != (id_type == "string"):
        raise InputRefused(
            f"{_WHAT}: id column {config.items.id!r} is {own.simpleString()}, "
            f"the ids of the items table are {id_type}; both must be strings or both integers"
        )
