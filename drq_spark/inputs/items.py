"""The items table under the names and types of the pipeline, and what is known of it before any Python sees a row.

Catalogue columns: item_id (the user's type), embedding (see `drq_spark.inputs.embedding_columns`), exposure (double,
NULL without an exposure column), embedding_hash (bigint).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from drq_spark.config import Config, Items
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.hashing import key_bucket, sample_key
from drq_spark.inputs.attributes import check_attributes
from drq_spark.inputs.embedding_columns import (
    embedding_column,
    may_be_other_bytes,
    number_count,
    refuse_other_bytes,
)
from drq_spark.inputs.fingerprint import content_hash, sums, sums_of_groups
from drq_spark.inputs.tables import column, damage_refused, read_table, require_columns
from drq_spark.schemas import Reason

_INTEGERS = (T.ByteType, T.ShortType, T.IntegerType, T.LongType)
_WHAT = "items table"


@dataclass(frozen=True)
class Profile:
    """What one pass over the items table tells.

    Attributes:
        rows: All rows.
        null_ids: Rows without an id.
        ids: Different ids.
        duplicates: Whether some id has more than one row.
        dim: D, as configured or the most frequent length.
        fingerprint: Hash of the rows, whatever their order, files and partitions.
        key_histogram: Bucket of the sample key -> ids, see `drq_spark.hashing`.
    """

    rows: int
    null_ids: int
    ids: int
    duplicates: bool
    dim: int
    fingerprint: str
    key_histogram: Mapping[int, int]

    @property
    def set_aside(self) -> dict[str, int]:
        """Rows that can have no SID whatever their embedding, by reason; only reasons that there are."""
        counts = {
            Reason.DUPLICATE_ID.value: self.rows - self.null_ids - self.ids,
            Reason.NULL_ID.value: self.null_ids,
        }
        return {reason: count for reason, count in counts.items() if count}

    @classmethod
    def of(cls, parts: Sequence[T.Row], dim: int, fingerprint: str) -> Profile:
        """Make a profile of the rows and ids of each bucket of sample keys.

        Rows without an id are in the part without a bucket.
        """
        counted = {part.bucket: part.ids for part in parts if part.bucket is not None}
        rows, ids = sum(part.rows for part in parts), sum(counted.values())
        null_ids = sum(part.rows for part in parts if part.bucket is None)
        return cls(rows, null_ids, ids, rows - null_ids > ids, dim, fingerprint, counted)


@dataclass(frozen=True)
class Catalogue:
    """The items to give SIDs to.

    Attributes:
        df: The catalogue columns, one row per id.
        quarantined: item_id and reason of the rows set aside so far.
        id_type: Spark SQL type of the ids.
        profile: What one pass over the items table told.
    """

    df: DataFrame
    quarantined: DataFrame
    id_type: str
    profile: Profile


def read_catalogue(spark: SparkSession, config: Config) -> Catalogue:
    """Read, check and profile the items table (one Spark job, no Python workers).

    Raises:
        InputRefused: a column is missing or of an unusable type, there are no rows, no embeddings, or bad exposures.
        ConfigError: no items were named.
    """
    if config.items.path is None:
        raise ConfigError("no items: give --items PATH_OR_TABLE or set items.path")
    source = read_table(spark, config.items.path, _WHAT)
    require_columns(source, _named_columns(config.items), _WHAT)
    check_attributes(source, config.items)
    if config.sample.exposure_power > 0 and config.items.exposure is None:
        raise ConfigError("sample.exposure_power needs an exposure column: set items.exposure")
    df = canonical(source, config.items)
    with damage_refused(config.items.path, _WHAT):
        profile = _profile(df, config)
    kept, set_aside = one_row_per_id(df, duplicates=profile.duplicates)
    return Catalogue(kept, set_aside, df.schema["item_id"].dataType.simpleString(), profile)


def _named_columns(items: Items) -> list[tuple[str, str]]:
    """Every column that the settings name, with its setting; the one of names is needed by the report alone."""
    named = (("items.id", items.id), ("items.embedding", items.embedding), ("items.exposure", items.exposure),
             ("items.name", items.name))  # fmt: skip
    return [*((setting, name) for setting, name in named if name is not None),
            *(("items.attributes", name) for name in items.attributes)]  # fmt: skip


def canonical(source: DataFrame, items: Items, what: str = _WHAT) -> DataFrame:
    """Rename and cast the user's columns to the catalogue columns; `what` names the table in messages.

    Raises:
        InputRefused: a column is missing or of an unusable type.
    """
    wanted = (("items.id", items.id), ("items.embedding", items.embedding), ("items.exposure", items.exposure))
    require_columns(source, [(setting, name) for setting, name in wanted if name is not None], what)
    item_id = column(source, items.id, "items.id", what)
    embedding = column(source, items.embedding, "items.embedding", what)
    exposure = F.lit(None) if items.exposure is None else column(source, items.exposure, "items.exposure", what)
    _check_id_type(source, items.id, what)
    if items.exposure is not None and not isinstance(source.schema[items.exposure].dataType, T.NumericType):
        raise InputRefused(
            f"{what}: exposure column {items.exposure!r} is {_type_of(source, items.exposure)}; it must be a number"
        )
    vector = embedding_column(embedding, source, items, what).alias("embedding")
    chosen = source.select(item_id.alias("item_id"), vector, exposure.cast("double").alias("exposure"))
    if items.exposure is not None:
        chosen = chosen.withColumn("exposure", F.coalesce("exposure", F.lit(0.0)))
    return chosen.withColumn("embedding_hash", F.xxhash64("embedding"))


def _check_id_type(source: DataFrame, name: str, what: str) -> None:
    if not isinstance(source.schema[name].dataType, (T.StringType, *_INTEGERS)):
        raise InputRefused(
            f"{what}: id column {name!r} is {_type_of(source, name)}; ids must be a string or an integer type, cast it"
        )


def _type_of(source: DataFrame, name: str) -> str:
    return source.schema[name].dataType.simpleString()


def _profile(df: DataFrame, config: Config) -> Profile:
    bucket = F.when(F.col("item_id").isNotNull(), key_bucket(sample_key(config.seed, config.sample.exposure_power)))
    parts = (
        _per_id(df)
        .groupBy(bucket.alias("bucket"))
        .agg(
            *sums_of_groups(),
            F.count(F.lit(1)).alias("ids"),
            F.min("shortest").alias("shortest"),
            F.max("longest").alias("longest"),
            F.min("exposed").alias("exposed"),
        )
        .collect()
    )
    _refuse(parts, config.items)
    lengths = {part.shortest for part in parts} | {part.longest for part in parts}
    dim = _dim(df, lengths - {None}, config)
    return Profile.of(parts, dim, content_hash(parts, df.schema.simpleString()))


def _per_id(df: DataFrame) -> DataFrame:
    """item_id, what stands for the content of its rows, shortest, longest, exposure of the row that stays, exposed.

    `exposed` tells whether the exposure of every row is a number that exposures can be.
    """
    row_hash = F.xxhash64("item_id", "embedding_hash", "exposure")
    length = F.when(F.col("embedding").isNotNull(), number_count(df))
    usable = F.coalesce((F.col("exposure") >= 0) & (F.col("exposure") < float("inf")), F.lit(True))
    rows = df.select("item_id", "exposure", "embedding_hash", row_hash.alias("hash"), length.alias("length"))
    return rows.groupBy("item_id").agg(
        *sums(F.col("hash")),
        F.min("length").alias("shortest"),
        F.max("length").alias("longest"),
        F.min_by("exposure", _precedence()).alias("exposure"),
        F.min(usable).alias("exposed"),
    )


def _refuse(parts: Sequence[T.Row], items: Items) -> None:
    """Refuse a table without rows, without ids, or with exposures that are none."""
    rows = sum(part.rows for part in parts)
    if rows == 0:
        raise InputRefused(f"{_WHAT} {items.path!r} has no rows")
    if not all(part.exposed for part in parts):
        raise InputRefused(f"{_WHAT}: exposure column {items.exposure!r} has negative, NaN or infinite values")
    if all(part.bucket is None for part in parts):
        raise InputRefused(f"{_WHAT}: id column {items.id!r} is NULL in all {rows:,} rows")


def _precedence() -> Column:
    """Order of the rows with one id, the lowest of which stays, by the columns length, embedding_hash, exposure."""
    return F.struct(F.col("length").isNull(), F.col("embedding_hash"), -F.coalesce("exposure", F.lit(0.0)))


def _dim(df: DataFrame, lengths: set[int], config: Config) -> int:
    """D as configured, or the most frequent length; `lengths` are some that occur, with the least and the greatest.

    Raises:
        InputRefused: there are no embeddings, they are bytes of another type, or none can have the configured length.
    """
    name, configured, unnamed = config.items.embedding, config.items.dim, may_be_other_bytes(df, config.items)
    if not lengths - {0}:
        raise InputRefused(f"{_WHAT}: embedding column {name!r} holds no embedding: all are NULL or empty")
    usual = _most_frequent_length(df, lengths) if configured is None or unnamed else configured
    if unnamed:
        refuse_other_bytes(df.where(number_count(df) == usual), config.items, _WHAT)
    if configured is None:
        return usual
    least, most = min(lengths), max(lengths)
    if not least <= configured <= most:
        have = f"{least}" if least == most else f"{least} to {most}"
        other = ", or name the type of their bytes with items.bytes" if unnamed else ""
        raise InputRefused(
            f"items.dim is {configured}, but embeddings in column {name!r} have {have} numbers: "
            f"set items.dim to their length or leave it out{other}"
        )
    return configured


def _most_frequent_length(df: DataFrame, lengths: set[int]) -> int:
    if len(lengths) == 1:
        return min(lengths)
    counts = df.where(F.col("embedding").isNotNull()).groupBy(number_count(df).alias("length")).count()
    most = counts.where("length > 0").orderBy(F.desc("count"), F.desc("length")).first()
    assert most is not None  # some length is above 0
    return int(most.length)


def one_row_per_id(df: DataFrame, *, duplicates: bool) -> tuple[DataFrame, DataFrame]:
    """Rows to assign, and (item_id, reason) of the others; `duplicates` says whether some id has more than one row.

    Of several rows with one id one stays, that with the lowest embedding hash among those that have an embedding.
    """
    without_id = df.where(F.col("item_id").isNull())
    null_ids = without_id.select("item_id", F.lit(Reason.NULL_ID.value).alias("reason"))
    if not duplicates:
        return df.where(F.col("item_id").isNotNull()), null_ids
    repeated = df.groupBy("item_id").count().where("count > 1 AND item_id IS NOT NULL").select("item_id")
    unique = df.where(F.col("item_id").isNotNull()).join(repeated, "item_id", "left_anti")
    sized = df.withColumn("length", F.when(F.col("embedding").isNotNull(), number_count(df)))
    ordered = Window.partitionBy("item_id").orderBy(_precedence())
    ranked = sized.join(repeated, "item_id", "left_semi").withColumn("rank", F.row_number().over(ordered))
    kept = unique.unionByName(ranked.where("rank = 1").drop("rank", "length"))
    repeats = ranked.where("rank > 1").select("item_id", F.lit(Reason.DUPLICATE_ID.value).alias("reason"))
    return kept, null_ids.unionByName(repeats)
