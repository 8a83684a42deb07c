"""The events table as it comes: columns under one name, and what one pass over it tells."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from drq_spark.config import Config
from drq_spark.errors import InputRefused
from drq_spark.inputs.fingerprint import content_hash, sums, sums_of_groups
from drq_spark.inputs.ids import matching_ids
from drq_spark.inputs.tables import column, damage_refused, read_table, require_columns
from drq_spark.local.compiled_queries import compiled_queries
from drq_spark.long_groups import bucket_of, full_buckets, long_among
from drq_spark.rows import one_row

_WHAT = "events table"
_READING = "2"  # changes whenever the same events come to make other pairs, so that their runs are done again
_NUMBER = "decimal(38,9)"
_YEAR_FIRST = r"^\s*\d{4}-\d{2}-\d{2}([ T].*)?$"


@dataclass(frozen=True)
class EventProfile:
    """What one pass over the events table tells.

    Attributes:
        rows: All rows.
        without_user: Rows whose user is NULL, NaN or empty text.
        without_position: Rows whose position is.
        fingerprint: Hash of the rows, whatever their order, files and partitions.
        long_users: Buckets of users with more events than one task takes, see `long_groups`.
        words: What to know of the column that orders them.
    """

    rows: int
    without_user: int
    without_position: int
    fingerprint: str
    long_users: tuple[int, ...]
    words: tuple[str, ...]


@dataclass(frozen=True)
class EventLog:
    """The events.

    Attributes:
        rows: user, item_id (of the items' type), position; NULL where there is none, or no such item can be.
        profile: What one pass over them told.
    """

    rows: DataFrame
    profile: EventProfile


def read_event_log(spark: SparkSession, config: Config, id_type: str) -> EventLog | None:
    """Read, check and profile the events (one Spark job); None where the config names no events.

    Args:
        spark: The session.
        config: The settings, of which the section `events` is read.
        id_type: Spark SQL type of the item ids.

    Raises:
        InputRefused: `read_events` raises it; or there are no rows, or none has a user or a position, or text positions
            are numbers in part.
    """
    rows = read_events(spark, config, id_type)
    if rows is None:
        return None
    with damage_refused(str(config.events.path), _WHAT):
        found = _counted(rows)
    profile, as_numbers = _profile(found, config)
    if as_numbers:
        rows = rows.withColumn("position", F.col("position").try_cast(_NUMBER))
    return EventLog(rows, profile)


def read_events(spark: SparkSession, config: Config, id_type: str) -> DataFrame | None:
    """Columns user, item_id (of the items' type), position; None where the config names no events. Reads no row.

    Raises:
        InputRefused: a column is missing or of a type that cannot be used, or item ids are of a type that cannot match.
    """
    if config.events.path is None:
        return None
    source = _source(spark, config.events.path, config)
    _check_types(source, config, id_type)
    user = column(source, config.events.user, "events.user", _WHAT)
    order = column(source, config.events.order, "events.order", _WHAT)
    return source.select(
        _given(user, source.schema[config.events.user].dataType).alias("user"),
        matching_ids(source, config.events.item, "events.item", _WHAT, id_type).alias("item_id"),
        _given(order, source.schema[config.events.order].dataType).alias("position"),
    )


def position_number(rows: DataFrame) -> Column:
    """Positions of rows of `EventLog.rows`, no text, as decimal(38,9): microseconds since 1970 for times, days."""
    kind, position = rows.schema["position"].dataType, F.col("position")
    if isinstance(kind, T.DateType):
        return F.unix_date(position).cast(_NUMBER)
    if isinstance(kind, T.TimestampType | T.TimestampNTZType):
        return F.unix_micros(position.cast("timestamp_ltz")).cast(_NUMBER)
    return position.cast(_NUMBER)


def events_id_type(spark: SparkSession, config: Config) -> str | None:
    """Spark SQL type of the item ids of the events; None without events, or where they are of no type that ids have.

    Raises:
        InputRefused: a column is missing.
    """
    if config.events.path is None:
        return None
    kind = _source(spark, config.events.path, config).schema[config.events.item].dataType
    return kind.simpleString() if isinstance(kind, T.StringType | T.IntegralType) else None


def _source(spark: SparkSession, path: str, config: Config) -> DataFrame:
    """The table as it is, with all columns that are named."""
    source = read_table(spark, path, _WHAT)
    names = {"events.user": config.events.user, "events.item": config.events.item, "events.order": config.events.order}
    require_columns(source, list(names.items()), _WHAT)
    named: dict[str, str] = {}
    for setting, name in names.items():
        if name in named:
            raise InputRefused(f"{named[name]} and {setting} name the same column {name!r}")
        named[name] = setting
    return source


def _check_types(source: DataFrame, config: Config, id_type: str) -> None:
    item_type = source.schema[config.events.item].dataType
    if isinstance(item_type, T.ArrayType):
        raise InputRefused(
            f"{_WHAT}: column {config.events.item!r} (events.item) is {item_type.simpleString()}, the ids of the items "
            f"table are {id_type}; both must be strings or both integers, a row for one event: explode lists"
        )
    for name in (config.events.user, config.events.order):
        if not isinstance(source.schema[name].dataType, T.AtomicType):
            kind = source.schema[name].dataType.simpleString()
            raise InputRefused(f"{_WHAT}: column {name!r} is {kind}; it must be a number, text, date or time")


def _given(value: Column, kind: T.DataType) -> Column:
    """A value, NULL where it is one that stands for none: empty text, NaN."""
    if isinstance(kind, T.StringType):
        return F.when(F.trim(value) != "", value)
    if isinstance(kind, T.FractionalType) and not isinstance(kind, T.DecimalType):
        return F.when(~F.isnan(value), value)
    return value


def _counted(rows: DataFrame) -> Row:
    """The sums of all rows, with what text positions look like and the fullest buckets of users."""
    text = isinstance(rows.schema["position"].dataType, T.StringType)
    position = F.col("position") if text else F.lit(None).cast("string")
    number = position.try_cast(_NUMBER).isNotNull()
    of_bucket = [
        *sums(F.xxhash64("user", "item_id", "position")),
        F.count("position").alias("positions"),
        F.count_if(number).alias("numbers"),
        F.count_if(position.rlike(_YEAR_FIRST)).alias("dates"),
        F.min(F.when(~number, position)).alias("other"),
    ]
    bucket = F.when(F.col("user").isNotNull(), bucket_of("user")).alias("bucket")
    buckets = rows.groupBy(bucket).agg(*of_bucket)
    totals = [
        *sums_of_groups(),
        F.sum(F.when(F.col("bucket").isNull(), F.col("rows"))).alias("without_user"),
        *(F.sum(name).alias(name) for name in ("positions", "numbers", "dates")),
        F.min("other").alias("other"),
        full_buckets().alias("full"),
    ]
    with compiled_queries(rows.sparkSession):
        return one_row(buckets.agg(*totals))


def _profile(found: Row, config: Config) -> tuple[EventProfile, bool]:
    """The profile, and whether positions are text that holds numbers."""
    if not found["rows"]:
        raise InputRefused(f"{_WHAT} has no rows; leave --events out to run without behaviour")
    rows, without_user, without_position = found["rows"], found.without_user or 0, found["rows"] - found.positions
    for setting, missing in (("user", without_user), ("order", without_position)):
        if missing == rows:
            name = getattr(config.events, setting)
            raise InputRefused(
                f"{_WHAT}: column {name!r} (events.{setting}) is empty in all {rows:,} rows; name another"
            )
    words, as_numbers = _order(found, config.events.order)
    fingerprint = content_hash([found], _READING)
    of_users = [bucket for bucket in found.full if bucket.bucket is not None]
    long_users = long_among(of_users, rows - without_user)
    return EventProfile(rows, without_user, without_position, fingerprint, long_users, words), as_numbers


def _order(found: Row, name: str) -> tuple[tuple[str, ...], bool]:
    """What to say of text positions, and whether they are numbers.

    Raises:
        InputRefused: some are and some are not.
    """
    if found.numbers and found.numbers < found.positions:
        raise InputRefused(
            f"{_WHAT}: column {name!r} (events.order) is text, {found.numbers:,} of {found.positions:,} values are "
            f"numbers and others are not, such as {found.other[:60]!r}: which comes first cannot be told; make it a "
            "number or a time"
        )
    if found.numbers:
        return (f"Column {name!r} (events.order) is text that holds numbers: events are ordered by the numbers.",), True
    if found.other is not None and found.dates < found.positions:
        return (
            f"Column {name!r} (events.order) is text such as {found.other[:60]!r} and orders events letter by letter: "
            "make it a time or a number if that is not their order.",
        ), False
    return (), False
