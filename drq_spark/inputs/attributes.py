"""Attributes of the items: columns of the items table such as category and brand, as text."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from drq_spark.config import Config, Items
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.inputs.fingerprint import content_hash, sums
from drq_spark.inputs.ids import matching_ids
from drq_spark.inputs.repeated_ids import VERSION, version_column
from drq_spark.inputs.tables import column, damage_refused, read_table
from drq_spark.table_names import quoted

_WHAT = "items table"


def read_attributes(spark: SparkSession, config: Config, id_type: str) -> DataFrame | None:
    """Columns item_id (of type `id_type`) and, per name in `items.attributes`, a_1, a_2, .. (text, NULL for unknown).

    One row per id, whatever the order and files of the rows: of several rows with one id the newest count where
    `items.version` tells them, then the lowest attributes, known ones before unknown ones. No embedding is read for it.
    None where the config names no attributes.

    Raises:
        InputRefused: a column is missing or cannot be text.
        ConfigError: attributes are named and no items.
    """
    rows = _rows(spark, config, id_type)
    if rows is None:
        return None
    names = [name for name in rows.columns[1:] if name != VERSION]
    # NULL is the lowest value of a struct: a flag before each attribute puts it last
    ordered = F.struct(*[part for name in names for part in (F.col(name).isNull().alias(f"no_{name}"), F.col(name))])
    if VERSION in rows.columns:
        newest = Window.partitionBy("item_id")
        rows = rows.withColumn("newest", F.max(VERSION).over(newest)).where(F.col(VERSION).eqNullSafe(F.col("newest")))
    lowest = rows.groupBy("item_id").agg(F.min(ordered).alias("lowest"))
    return lowest.select("item_id", *[F.col("lowest").getField(name).alias(name) for name in names])


def attributes_fingerprint(spark: SparkSession, config: Config, id_type: str) -> str | None:
    """What stands for the attributes of all rows that have an id, whatever their order and files; None without any.

    Raises:
        InputRefused, ConfigError: as `read_attributes`.
    """
    rows = _rows(spark, config, id_type)
    if rows is None:
        return None
    # the hash of a row with NULLs is that of the values it has: flags tell which are missing
    known = [F.col(name).isNull() for name in rows.columns]
    with damage_refused(str(config.items.path), _WHAT):
        return content_hash(rows.agg(*sums(F.xxhash64(*rows.columns, *known))).collect())


def _rows(spark: SparkSession, config: Config, id_type: str) -> DataFrame | None:
    """Columns item_id, a_1, a_2, .. of all rows that have an id; an id that the type cannot hold is no item's."""
    if not config.items.attributes:
        return None
    if config.items.path is None:
        raise ConfigError("items.attributes are columns of the items table: give --items PATH_OR_TABLE")
    source = read_table(spark, config.items.path, _WHAT)
    check_attributes(source, config.items)
    item_id = matching_ids(source, config.items.id, "items.id", _WHAT, id_type).alias("item_id")
    texts = [
        F.col(quoted(name)).cast("string").alias(f"a_{step}") for step, name in enumerate(config.items.attributes, 1)
    ]
    named = config.items.version
    version = [] if named is None else [version_column(source, named, _WHAT).alias(VERSION)]
    return source.select(item_id, *texts, *version).where("item_id IS NOT NULL")


def check_attributes(source: DataFrame, items: Items) -> None:
    """Refuse attributes that the items table does not have as text, numbers, dates or the like.

    Raises:
        InputRefused: a column is missing, or its type has no text (array, map, struct).
    """
    for name in items.attributes:
        column(source, name, "items.attributes", _WHAT)
        kind = source.schema[name].dataType
        if not isinstance(kind, T.AtomicType):
            raise InputRefused(
                f"{_WHAT}: attribute column {name!r} is {kind.simpleString()}; "
                "an attribute has one value per item: text, a number, a date or a time"
            )
