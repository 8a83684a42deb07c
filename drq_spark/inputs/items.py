"""The items table under the names and types of the pipeline, and what is known of it before any Python sees a row.

Catalogue columns: item_id (the user's type), embedding (see `drq_spark.inputs.embedding_columns`), exposure (double,
NULL without an exposure column), embedding_hash (bigint).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pyspark.sql import Column, DataFrame, SparkSession
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
from drq_spark.inputs.events import Events
from drq_spark.inputs.fingerprint import content_hash, sums, sums_of_groups
from drq_spark.inputs.ids import id_column, matching_ids
from drq_spark.inputs.repeated_ids import (
    VERSION,
    hashes_that_stay,
    one_row_per_id,
    precedence,
    repeats_in_words,
    version_column,
)
from drq_spark.inputs.tables import column, damage_refused, file_notes, read_table, require_columns
from drq_spark.schemas import Reason

_WHAT = "items table"


@dataclass(frozen=True)
class Profile:
    """What one pass over the items table tells.

    Attributes:
        rows: All rows.
        null_ids: Rows without an id.
        ids: Different ids.
        repeated: Ids with more than one row.
        undecided: Those of which rows with different embeddings come first together, so that their hash decides.
        dim: D, as configured or the most frequent length.
        fingerprint: Hash of the rows, whatever their order, files and partitions.
        key_histogram: Bucket of the sample key -> ids, see `drq_spark.hashing`.
    """

    rows: int
    null_ids: int
    ids: int
    repeated: int
    undecided: int
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
        known = [part for part in parts if part.bucket is not None]
        counted = {part.bucket: part.ids for part in known}
        rows, with_id = (sum(part.rows for part in some) for some in (parts, known))
        repeated, undecided = (sum(part[name] for part in known) for name in ("repeated", "undecided"))
        return cls(rows, rows - with_id, sum(counted.values()), repeated, undecided, dim, fingerprint, counted)


@dataclass(frozen=True)
class Catalogue:
    """The items to give SIDs to.

    Attributes:
        df: The catalogue columns, one row per id.
        quarantined: item_id and reason of the rows set aside so far.
        id_type: Spark SQL type of the ids.
        profile: What one pass over the items table told.
        notes: What to know of the table before its figures are read.
        events: What users did with the items; None without events, and where they have not been read.
    """

    df: DataFrame
    quarantined: DataFrame
    id_type: str
    profile: Profile
    notes: tuple[str, ...] = ()
    events: Events | None = None


def read_catalogue(spark: SparkSession, config: Config) -> Catalogue:
    """Read, check and profile the items table (one Spark job, no Python workers).

    Raises:
        InputRefused: a column is missing or of an unusable type, there are no rows, no embeddings, or bad exposures.
        ConfigError: no items were named.
    """
    if config.items.path is None:
        raise ConfigError("no items: give --items PATH_OR_TABLE or set items.path")
    source = read_table(spark, config.items.path, _WHAT)
    with damage_refused(config.items.path, _WHAT):
        catalogue = catalogue_of(source, config)
    notes = file_notes(spark, config.items.path, _WHAT, config.items.columns())
    return replace(catalogue, notes=(*notes, *catalogue.notes))


def catalogue_of(source: DataFrame, config: Config) -> Catalogue:
    """Check and profile items that are a DataFrame already.

    Raises:
        InputRefused, ConfigError: as `read_catalogue`.
    """
    require_columns(source, _named_columns(config.items), _WHAT)
    check_attributes(source, config.items)
    if config.sample.exposure_power > 0 and config.items.exposure is None:
        raise ConfigError("sample.exposure_power needs an exposure column: set items.exposure")
    df = canonical(source, config.items)
    profile = _profile(df, config)
    kept, set_aside = one_row_per_id(df, embedding_length(df), duplicates=profile.repeated > 0)
    notes = repeats_in_words(profile.repeated, profile.undecided, config.items)
    return Catalogue(kept, set_aside, df.schema["item_id"].dataType.simpleString(), profile, tuple(notes))


def _named_columns(items: Items) -> list[tuple[str, str]]:
    """Every column that the settings name, with its setting; the one of names is needed by the report alone."""
    named = (("items.id", items.id), ("items.embedding", items.embedding), ("items.exposure", items.exposure),
             ("items.name", items.name), ("items.version", items.version))  # fmt: skip
    return [*((setting, name) for setting, name in named if name is not None),
            *(("items.attributes", name) for name in items.attributes)]  # fmt: skip


def canonical(source: DataFrame, items: Items, what: str = _WHAT, id_type: str | None = None) -> DataFrame:
    """Rename and cast the user's columns to the catalogue columns, and `version` where `items.version` names one.

    Args:
        source: The user's table.
        items: What its columns are called.
        what: What messages call the table.
        id_type: Spark SQL type that its ids are matched with; None for the items table itself.

    Raises:
        InputRefused: a column is missing or of an unusable type.
    """
    wanted = (("items.id", items.id), ("items.embedding", items.embedding), ("items.exposure", items.exposure))
    require_columns(source, [(setting, name) for setting, name in wanted if name is not None], what)
    setting = "items.id"
    item_id = (
        id_column(source, items.id, setting, what)
        if id_type is None
        else matching_ids(source, items.id, setting, what, id_type)
    )
    embedding = column(source, items.embedding, "items.embedding", what)
    exposure = F.lit(None) if items.exposure is None else column(source, items.exposure, "items.exposure", what)
    version = {} if items.version is None else {VERSION: version_column(source, items.version, what)}
    if items.exposure is not None and not isinstance(source.schema[items.exposure].dataType, T.NumericType):
        raise InputRefused(
            f"{what}: exposure column {items.exposure!r} is {_type_of(source, items.exposure)}; it must be a number"
        )
    vector = embedding_column(embedding, source, items, what).alias("embedding")
    chosen = source.select(
        item_id.alias("item_id"),
        vector,
        exposure.cast("double").alias("exposure"),
        *[value.alias(name) for name, value in version.items()],
    )
    if items.exposure is not None:
        chosen = chosen.withColumn("exposure", F.coalesce("exposure", F.lit(0.0)))
    return chosen.withColumn("embedding_hash", F.xxhash64("embedding"))


def _type_of(source: DataFrame, name: str) -> str:
    return source.schema[name].dataType.simpleString()


def embedding_length(df: DataFrame) -> Column:
    """Numbers in an embedding (int), NULL where there is none."""
    return F.when(F.col("embedding").isNotNull(), number_count(df))


def _profile(df: DataFrame, config: Config) -> Profile:
    bucket = F.when(F.col("item_id").isNotNull(), key_bucket(sample_key(config.seed, config.sample.exposure_power)))
    parts = (
        _per_id(df)
        .groupBy(bucket.alias("bucket"))
        .agg(
            *sums_of_groups(),
            F.count(F.lit(1)).alias("ids"),
            F.count_if(F.col("rows") > 1).alias("repeated"),
            F.count_if(F.col("lowest_hash") != F.col("highest_hash")).alias("undecided"),
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

    `exposed` tells whether the exposure of every row is a number that exposures can be; lowest_hash and highest_hash
    differ where chance decides which embedding stays.
    """
    version = [VERSION] if VERSION in df.columns else []
    row_hash = F.xxhash64("item_id", "embedding_hash", "exposure", *version)
    length = embedding_length(df)
    usable = F.coalesce((F.col("exposure") >= 0) & (F.col("exposure") < float("inf")), F.lit(True))
    rows = df.select("item_id", "exposure", "embedding_hash", *version, row_hash.alias("hash"), length.alias("length"))
    return rows.groupBy("item_id").agg(
        *sums(F.col("hash")),
        F.min("length").alias("shortest"),
        F.max("length").alias("longest"),
        F.max_by("exposure", precedence(rows)).alias("exposure"),
        *hashes_that_stay(rows),
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
