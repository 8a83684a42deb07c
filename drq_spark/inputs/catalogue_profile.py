"""What is known of the items table before any step: rows, ids, length of the embeddings, and where the sample ends.

One job in Java reads ids, exposures and versions alone. The embeddings are looked at in a few rows; all of them are
read here only where the few do not tell the length, or where ids have several rows, whose hashes decide which stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from drq_spark.config import Config, Items
from drq_spark.errors import InputRefused
from drq_spark.hashing import key_bucket, sample_key
from drq_spark.inputs.embedding_columns import may_be_other_bytes, number_count, refuse_other_bytes
from drq_spark.inputs.repeated_ids import VERSION, hashes_that_stay, precedence
from drq_spark.schemas import Reason

ITEMS = "items table"
"""What messages call it."""

_FEW_ROWS = 1000  # rows whose embeddings tell the length where all of them have one


@dataclass(frozen=True)
class Profile:
    """What is known of the items table.

    Attributes:
        rows: All rows.
        null_ids: Rows without an id.
        ids: Different ids.
        repeated: Ids with more than one row.
        undecided: Those of which rows with different embeddings come first together, so that their hash decides.
        dim: D, as configured or the most frequent length.
        key_histogram: Bucket of the sample key -> ids, see `drq_spark.hashing`.
    """

    rows: int
    null_ids: int
    ids: int
    repeated: int
    undecided: int
    dim: int
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
    def of(cls, parts: Sequence[T.Row], dim: int) -> Profile:
        """Make a profile of the rows and ids of each bucket of sample keys.

        Rows without an id are in the part without a bucket.
        """
        known = [part for part in parts if part.bucket is not None]
        counted = {part.bucket: part.ids for part in known}
        rows, with_id = (sum(part.rows for part in some) for some in (parts, known))
        repeated, undecided = (sum(part[name] for part in known) for name in ("repeated", "undecided"))
        return cls(rows, rows - with_id, sum(counted.values()), repeated, undecided, dim, counted)


def embedding_length(df: DataFrame) -> Column:
    """Numbers in an embedding (int), NULL where there is none."""
    return F.when(F.col("embedding").isNotNull(), number_count(df))


def profile_of(df: DataFrame, config: Config) -> Profile:
    """Count the rows and ids of the catalogue columns, and find the length of the embeddings.

    Raises:
        InputRefused: there are no rows, no ids, no embeddings of the configured length, bytes of another type, or bad
            exposures.
    """
    parts = _parts(_per_id(df), config)
    _refuse(parts, config.items)
    if any(part.repeated for part in parts):
        parts = _parts(_per_repeated_id(df), config)
    return Profile.of(parts, _dim(df, config))


def _parts(ids: DataFrame, config: Config) -> list[T.Row]:
    """Rows and ids of each bucket of sample keys."""
    bucket = F.when(F.col("item_id").isNotNull(), key_bucket(sample_key(config.seed, config.sample.exposure_power)))
    return (
        ids.groupBy(bucket.alias("bucket"))
        .agg(
            F.sum("rows").alias("rows"),
            F.count(F.lit(1)).alias("ids"),
            F.count_if(F.col("rows") > 1).alias("repeated"),
            F.count_if("undecided").alias("undecided"),
            F.min("exposed").alias("exposed"),
        )
        .collect()
    )


def _per_id(df: DataFrame) -> DataFrame:
    """item_id, rows, undecided (false), an exposure of them, exposed; no embedding is read.

    `exposed` tells whether the exposure of every row is a number that exposures can be.
    """
    return df.groupBy("item_id").agg(
        F.count(F.lit(1)).alias("rows"),
        F.lit(False).alias("undecided"),
        F.max("exposure").alias("exposure"),
        F.min(_usable_exposure()).alias("exposed"),
    )


def _per_repeated_id(df: DataFrame) -> DataFrame:
    """The same with the exposure of the row that stays, and undecided where chance tells which embedding does."""
    version = [VERSION] if VERSION in df.columns else []
    rows = df.select("item_id", "exposure", "embedding_hash", *version, embedding_length(df).alias("length"))
    grouped = rows.groupBy("item_id").agg(
        F.count(F.lit(1)).alias("rows"),
        F.max_by("exposure", precedence(rows)).alias("exposure"),
        *hashes_that_stay(rows),
        F.min(_usable_exposure()).alias("exposed"),
    )
    return grouped.withColumn("undecided", F.col("lowest_hash") != F.col("highest_hash"))


def _usable_exposure() -> Column:
    return F.coalesce((F.col("exposure") >= 0) & (F.col("exposure") < float("inf")), F.lit(True))


def _refuse(parts: Sequence[T.Row], items: Items) -> None:
    """Refuse a table without rows, without ids, or with exposures that are none."""
    rows = sum(part.rows for part in parts)
    if rows == 0:
        raise InputRefused(f"{ITEMS} {items.path!r} has no rows")
    if not all(part.exposed for part in parts):
        raise InputRefused(f"{ITEMS}: exposure column {items.exposure!r} has negative, NaN or infinite values")
    if all(part.bucket is None for part in parts):
        raise InputRefused(f"{ITEMS}: id column {items.id!r} is NULL in all {rows:,} rows")


def _dim(df: DataFrame, config: Config) -> int:
    """D as configured, or the most frequent length.

    Where a few rows have embeddings of one length, that one is taken for the most frequent: a table of which it is not
    is refused when the sample is drawn, for rows of another length cannot be used.

    Raises:
        InputRefused: there are no embeddings, they are bytes of another type, or none can have the configured length.
    """
    configured, unnamed = config.items.dim, may_be_other_bytes(df, config.items)
    lengths = {row.length for row in _with_length(df).limit(_FEW_ROWS).collect()}  # stops at the first files
    if len(lengths) != 1 or (configured is not None and lengths != {configured}):
        lengths = _least_and_most(df, config.items)
    usual = _most_frequent_length(df, lengths) if configured is None or unnamed else configured
    if unnamed:
        refuse_other_bytes(df.where(number_count(df) == usual), config.items, ITEMS)
    if configured is None:
        return usual
    _refuse_length(configured, lengths, config.items, unnamed=unnamed)
    return configured


def _with_length(df: DataFrame) -> DataFrame:
    """Lengths of the embeddings that hold a number."""
    return df.select(embedding_length(df).alias("length")).where("length > 0")


def _least_and_most(df: DataFrame, items: Items) -> set[int]:
    """The least and the greatest length of all embeddings; one where they are the same."""
    [found] = _with_length(df).agg(F.min("length").alias("least"), F.max("length").alias("most")).collect()
    if found.least is None:
        raise InputRefused(f"{ITEMS}: embedding column {items.embedding!r} holds no embedding: all are NULL or empty")
    return {found.least, found.most}


def _most_frequent_length(df: DataFrame, lengths: set[int]) -> int:
    if len(lengths) == 1:
        return min(lengths)
    counts = _with_length(df).groupBy("length").count()
    most = counts.orderBy(F.desc("count"), F.desc("length")).first()
    assert most is not None  # some length is above 0
    return int(most.length)


def _refuse_length(configured: int, lengths: set[int], items: Items, *, unnamed: bool) -> None:
    """Refuse a length that no embedding can have."""
    least, most = min(lengths), max(lengths)
    if not least <= configured <= most:
        have = f"{least}" if least == most else f"{least} to {most}"
        other = ", or name the type of their bytes with items.bytes" if unnamed else ""
        raise InputRefused(
            f"items.dim is {configured}, but embeddings in column {items.embedding!r} have {have} numbers: "
            f"set items.dim to their length or leave it out{other}"
        )
