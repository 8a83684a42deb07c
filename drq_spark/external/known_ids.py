"""Which ids a map may name: those of the items, else those of the events. They are matched before any other work."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.errors import InputRefused
from drq_spark.external.row_numbers import ROW, numbered, require_files
from drq_spark.inputs.event_log import events_id_type, read_events
from drq_spark.inputs.items import canonical
from drq_spark.inputs.tables import column, damage_refused, read_table
from drq_spark.rows import one_row

_ITEMS, _EVENTS = "items table", "events table"
_EXAMPLES = 3


@dataclass(frozen=True)
class KnownIds:
    """The ids that there are beside a map.

    Attributes:
        ids: item_id of all rows, repeated ones too.
        id_type: Spark SQL type of the ids.
        rows: row (bigint), item_id, where sids.id=row takes the number of a row for its id; None elsewhere.
        what: The table that they are of.
    """

    ids: DataFrame
    id_type: str
    rows: DataFrame | None
    what: str


def known_ids(spark: SparkSession, config: Config) -> KnownIds | None:
    """The ids of the items, else of the events; None without both, and where no id has a type that ids have.

    Reads no row: only what a table is and which columns it has.

    Raises:
        InputRefused: a table cannot be read, or lacks a column.
    """
    if config.items.path is not None:
        source = read_table(spark, config.items.path, _ITEMS)
        ids = canonical(source, config.items).select("item_id")
        rows = None
        if config.sids.id == ROW:
            require_files(spark, config.items.path, _ITEMS)
            rows = numbered(source).select(column(source, config.items.id, "items.id", _ITEMS).alias("item_id"), ROW)
        return KnownIds(ids, ids.schema["item_id"].dataType.simpleString(), rows, _ITEMS)
    id_type = events_id_type(spark, config)
    events = None if id_type is None else read_events(spark, config, id_type)
    return None if events is None or id_type is None else KnownIds(events.select("item_id"), id_type, None, _EVENTS)


def identified(source: DataFrame, known: KnownIds | None, shift: int) -> DataFrame:
    """The rows of a map with `named`, whether they have an id, and item_id of the type that is known.

    item_id is NULL where it can be no item's.

    Args:
        source: Rows with item_id, of its own type.
        known: The ids that there are; None leaves the type as it is.
        shift: What is added to ids that are integers.
    """
    id_type = source.schema["item_id"].dataType.simpleString() if known is None else known.id_type
    rows = source.withColumn("named", F.col("item_id").isNotNull())
    if known is not None and known.rows is not None:
        place = (F.col("item_id").try_cast("bigint") + shift).alias(ROW)
        others = [name for name in rows.columns if name != "item_id"]
        return rows.select(place, *others).join(known.rows, ROW, "left").select("item_id", *others)
    moved = F.col("item_id").try_cast("bigint") + shift if shift else F.col("item_id")
    return rows.withColumn("item_id", moved.try_cast(id_type))


def refuse_other_ids(source: DataFrame, rows: DataFrame, known: KnownIds, config: Config) -> None:
    """Check that the ids of a map are those of the items; with events alone that one of them is theirs.

    Args:
        source: The map as it was read.
        rows: The same, as `identified` gives it.
        known: The ids that there are.
        config: The settings.

    Raises:
        InputRefused: more than items.max_bad_share of the rows name no item; the message shows ids of both.
    """
    place = config.items.path if known.what == _ITEMS else config.events.path
    with damage_refused(str(place), known.what):
        found = rows.where("item_id IS NOT NULL")
        if known.rows is None:
            found = found.join(known.ids, "item_id", "left_semi")
        matched, named = found.count(), rows.where("named").count()
    most = config.items.max_bad_share if known.what == _ITEMS else 1.0
    if not named or (matched and named - matched <= most * named):
        return
    own, other = _examples(source.select("item_id")), _examples(known.ids)
    raise InputRefused(
        f"SIDs: of {named:,} rows {matched:,} have an id of the {known.what} (items.max_bad_share is "
        f"{config.items.max_bad_share:g}); their ids are such as {own}, those of the {known.what} such as {other}; do "
        f"sids.id and {'items.id' if known.what == _ITEMS else 'events.item'} hold the same ids?"
        f"{_row_hint(source, known)}"
    )


def _examples(ids: DataFrame) -> str:
    lowest = ids.where("item_id IS NOT NULL").distinct().orderBy("item_id").limit(_EXAMPLES).collect()
    return ", ".join(repr(row.item_id) for row in lowest) or "none"


def _row_hint(source: DataFrame, known: KnownIds) -> str:
    """What to do where the ids of a map are the numbers of its rows."""
    number = F.col("item_id").try_cast("bigint")
    ends = one_row(
        source.agg(F.min(number).alias("low"), F.max(number).alias("high"), F.count_distinct(number).alias("n"))
    )
    if ends.low not in (0, 1) or ends.high - ends.low + 1 != ends.n or known.rows is not None:
        return ""
    shift = " --set sids.id_shift=-1" if ends.low else ""
    return f" If {ends.low} to {ends.high:,} are rows of the items file in their order: --set sids.id=row{shift}"
