"""The tables that the page is made of: those of a run, some of which may not be there, and the names of items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.inputs.ids import id_column
from drq_spark.inputs.repeated_ids import VERSION, version_column
from drq_spark.inputs.tables import column, read_table
from drq_spark.schemas import SID_QUARANTINE, Table
from drq_spark.store import Store


class RunTables:
    """The rows of one run in tables that may not be there."""

    def __init__(self, store: Store, run_id: str) -> None:
        self.store, self.run_id = store, run_id

    def rows(self, table: Table) -> DataFrame | None:
        """The rows of a table, None where it was never written."""
        return self.store.read(table, self.run_id) if self.store.exists(table) else None

    def first(self, table: Table, by: str, *then: str, most: int | None = None) -> list[Row]:
        """The first rows of a table; none where it was never written."""
        rows = self.rows(table)
        if rows is None:
            return []
        ordered = rows.orderBy(by, *then)
        return (ordered if most is None else ordered.limit(most)).collect()

    def quarantine(self) -> dict[str, int]:
        """Rows set aside, by reason."""
        rows = self.rows(SID_QUARANTINE)
        return {} if rows is None else {row.reason: row["count"] for row in rows.groupBy("reason").count().collect()}


def names_of(spark: SparkSession, config: Config, ids: Sequence[Any]) -> dict[Any, str]:
    """Text for each of some ten thousand ids; the id itself where there is no name."""
    names = {item: str(item) for item in ids}
    if config.items.name is None or config.items.path is None or not names:
        return names
    what = "items table"
    source = read_table(spark, config.items.path, what)
    item_id = id_column(source, config.items.id, "items.id", what).alias("item_id")
    name = column(source, config.items.name, "items.name", what).cast("string").alias("name")
    named = config.items.version
    version = F.lit(0) if named is None else version_column(source, named, what)
    rows = source.select(item_id, name, version.alias(VERSION))
    wanted = spark.createDataFrame([(item,) for item in names], rows.select("item_id").schema)
    found = rows.join(F.broadcast(wanted), "item_id", "left_semi")
    newest = found.where("name IS NOT NULL").groupBy("item_id").agg(F.max(F.struct(VERSION, "name")).alias("newest"))
    names |= {row.item_id: row.newest.name for row in newest.collect()}
    return names
