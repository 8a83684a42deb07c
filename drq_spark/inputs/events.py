"""The events table: who did what with which item, in which order."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from drq_spark.config import Config
from drq_spark.errors import InputRefused
from drq_spark.inputs.consecutive import with_following
from drq_spark.inputs.fingerprint import content_hash, sums
from drq_spark.inputs.tables import column, damage_refused, read_table, require_columns
from drq_spark.staging import Staging

_WHAT = "events table"


def read_events(spark: SparkSession, config: Config, id_type: str) -> DataFrame | None:
    """Columns user, item_id (of the items' type), position; None where the config names no events.

    Raises:
        InputRefused: a column is missing or item ids are of a type that cannot match.
    """
    if config.events.path is None:
        return None
    source = read_table(spark, config.events.path, _WHAT)
    _require(source, config)
    user = column(source, config.events.user, "events.user", _WHAT)
    item = column(source, config.events.item, "events.item", _WHAT)
    position = column(source, config.events.order, "events.order", _WHAT)
    _check_types(source, config, id_type)
    # an integer that the items' type cannot hold is no item's id: NULL
    return source.select(user.alias("user"), item.try_cast(id_type).alias("item_id"), position.alias("position"))


def events_id_type(spark: SparkSession, config: Config) -> str | None:
    """Spark SQL type of the item ids of the events; None without events, or where they are of no type that ids have.

    Raises:
        InputRefused: a column is missing.
    """
    if config.events.path is None:
        return None
    source = read_table(spark, config.events.path, _WHAT)
    _require(source, config)
    kind = source.schema[config.events.item].dataType
    return kind.simpleString() if isinstance(kind, T.StringType | T.IntegralType) else None


def _require(source: DataFrame, config: Config) -> None:
    names = config.events
    wanted = [("events.user", names.user), ("events.item", names.item), ("events.order", names.order)]
    require_columns(source, wanted, _WHAT)


def _check_types(source: DataFrame, config: Config, id_type: str) -> None:
    item_type = source.schema[config.events.item].dataType
    if not isinstance(item_type, T.StringType if id_type == "string" else T.IntegralType):
        raise InputRefused(
            f"{_WHAT}: item column {config.events.item!r} is {item_type.simpleString()}, "
            f"the ids of the items table are {id_type}; both must be strings or both integers"
        )
    for name in (config.events.user, config.events.order):
        if not isinstance(source.schema[name].dataType, T.AtomicType):
            kind = source.schema[name].dataType.simpleString()
            raise InputRefused(f"{_WHAT}: column {name!r} is {kind}; it must be a number, text, date or time")


def events_fingerprint(spark: SparkSession, config: Config, id_type: str) -> str | None:
    """What stands for all rows, whatever their order and files; None where the config names no events.

    Raises:
        InputRefused: they cannot be used, or there are no rows.
    """
    events = read_events(spark, config, id_type)
    if events is None:
        return None
    with damage_refused(str(config.events.path), _WHAT):
        groups = events.agg(*sums(F.xxhash64("user", "item_id", "position"))).collect()
    if not groups[0]["rows"]:
        raise InputRefused(f"{_WHAT} has no rows; leave --events out to run without behaviour")
    return content_hash(groups)


@dataclass(frozen=True)
class Events:
    """The events of a run, for all its steps: the table is read once, and what comes of it is kept in staging.

    Attributes:
        rows: user, item_id, position, as `read_events` gives them.
        config: Settings of the run.
        staging: Staging folder of the run, which the steps of one process share.
    """

    rows: DataFrame
    config: Config
    staging: Staging

    def exposure(self) -> DataFrame:
        """How many events every item has: item_id, exposure (double)."""
        counted = self._followed().groupBy("item_id").agg(F.count(F.lit(1)).alias("exposure"))
        return counted.withColumn("exposure", F.col("exposure").cast("double"))

    def pairs(self) -> DataFrame:
        """All pairs of consecutive items, known or not: item_id, next_item_id, pair_key, user_key, held_out."""
        return self._followed().where("next_item_id IS NOT NULL")

    def _followed(self) -> DataFrame:
        return self.staging.keep_once(with_following(self.rows, self.config), "events")


def events_of(spark: SparkSession, config: Config, id_type: str, staging: Staging) -> Events | None:
    """The events of a run; None where the config names none.

    Raises:
        InputRefused: a column is missing or item ids are of a type that cannot match.
    """
    rows = read_events(spark, config, id_type)
    return None if rows is None else Events(rows, config, staging)


def exposed(rows: DataFrame, events: Events | None, config: Config) -> DataFrame:
    """Rows with the number of their events as exposure, where the items table has no exposure column."""
    return rows if events is None or config.items.exposure is not None else with_exposure(rows, events)


def with_exposure(rows: DataFrame, events: Events) -> DataFrame:
    """Rows (item_id and more) with the number of the item's events as exposure (double), 0 where it has none."""
    counted = rows.drop("exposure").join(events.exposure(), "item_id", "left")
    return counted.withColumn("exposure", F.coalesce("exposure", F.lit(0.0)))
