"""Several rows with one id: which one stays, and what is said of them before any work.

The columns that decide are `version` (only where `items.version` names one: the highest counts), `length` (a row with
an embedding comes before one without), `embedding_hash` (the lowest) and `exposure` (the highest).
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from drq_spark.config import Items
from drq_spark.errors import InputRefused
from drq_spark.inputs.tables import column
from drq_spark.schemas import Reason

VERSION = "version"
_ORDERED = (T.NumericType, T.DateType, T.TimestampType, T.TimestampNTZType)


def version_column(source: DataFrame, name: str, what: str) -> Column:
    """What tells the newest of several rows with one id, highest last; NaN counts as none.

    Raises:
        InputRefused: there is no such column, or its values have no order of numbers or times.
    """
    value, kind = column(source, name, "items.version", what), source.schema[name].dataType
    if not isinstance(kind, _ORDERED):
        raise InputRefused(
            f"{what}: column {name!r} (items.version) is {kind.simpleString()}; it must be a number, a date or a time, "
            "for letters do not tell which row is the newest"
        )
    return F.when(~F.isnan(value), value) if isinstance(kind, (T.FloatType, T.DoubleType)) else value


def precedence(df: DataFrame) -> Column:
    """Order of the rows with one id, the highest of which stays."""
    shown = F.coalesce("exposure", F.lit(0.0)).alias("shown")
    return F.struct(*_first(df), F.bitwise_not("embedding_hash").alias("low_hash"), shown)


def hashes_that_stay(df: DataFrame) -> list[Column]:
    """Aggregates of the rows with one id: the lowest and the highest hash that its order leaves to chance."""
    highest, lowest = (
        F.max(F.struct(*_first(df), value.alias("hash"))).getField("hash")
        for value in (F.col("embedding_hash"), F.bitwise_not("embedding_hash"))
    )
    return [F.bitwise_not(lowest).alias("lowest_hash"), highest.alias("highest_hash")]


def _first(df: DataFrame) -> list[Column]:
    version = [F.col(VERSION)] if VERSION in df.columns else []
    return [*version, F.col("length").isNotNull().alias("has_embedding")]


def one_row_per_id(df: DataFrame, length: Column, *, duplicates: bool) -> tuple[DataFrame, DataFrame]:
    """Rows to assign, and (item_id, reason) of the others.

    Args:
        df: Catalogue columns, and `version` where there is one; it is gone in the result.
        length: Numbers in an embedding, NULL where there is none.
        duplicates: Whether some id has more than one row.
    """
    columns = [name for name in df.columns if name != VERSION]
    with_id = df.where(F.col("item_id").isNotNull())
    null_ids = df.where(F.col("item_id").isNull()).select("item_id", F.lit(Reason.NULL_ID.value).alias("reason"))
    if not duplicates:
        return with_id.select(*columns), null_ids
    repeated = with_id.groupBy("item_id").count().where("count > 1").select("item_id")
    unique = with_id.select(*columns).join(repeated, "item_id", "left_anti")
    sized = with_id.withColumn("length", length).join(repeated, "item_id", "left_semi")
    ordered = Window.partitionBy("item_id").orderBy(precedence(sized).desc())
    ranked = sized.withColumn("rank", F.row_number().over(ordered))
    kept = unique.unionByName(ranked.where("rank = 1").select(*columns))
    repeats = ranked.where("rank > 1").select("item_id", F.lit(Reason.DUPLICATE_ID.value).alias("reason"))
    return kept, null_ids.unionByName(repeats)


def repeats_in_words(repeated: int, undecided: int, items: Items) -> tuple[str, ...]:
    """What to know of ids with several rows; nothing where there are none.

    Args:
        repeated: Ids with more than one row.
        undecided: Those of which rows with different embeddings come first together, so that their hash decides.
        items: The settings.
    """
    told = []
    if repeated and items.version is not None:
        told.append(f"{repeated:,} ids have several rows: of each the row with the highest {items.version!r} counts")
    if undecided and items.version is None:
        told.append(
            f"{undecided:,} ids have several rows with different embeddings: of each one row counts, whichever it is; "
            "name the column that tells the newest with items.version"
        )
    elif undecided:
        told.append(f"{undecided:,} ids of them have different embeddings of one newest {items.version!r}: one counts")
    elif repeated and items.version is None:
        told.append(f"{repeated:,} ids have several rows, all with the same embedding: one of each counts")
    return tuple(told)
