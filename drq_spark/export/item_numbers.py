"""Items by number, for systems that know an item by its place."""

from __future__ import annotations

from pyspark.sql import DataFrame

from drq_spark.config import Sids
from drq_spark.errors import InputRefused
from drq_spark.export.export_source import ExportSource
from drq_spark.export.ordered_parts import NUMBER, write_ordered
from drq_spark.external.known_ids import known_ids
from drq_spark.external.row_numbers import ROW
from drq_spark.rows import one_row


def numbered_rows(source: ExportSource, scratch: str) -> tuple[DataFrame, int]:
    """The rows with column number (bigint, from 0), and how many numbers there are.

    A number is an item's place in the order of ids (integers by value, text by its bytes), or with `rows_of` that of a
    row of those files with its id; numbers of rows whose item has no SID are left out.

    Args:
        source: What is exported.
        scratch: A folder for what is needed only on the way.

    Raises:
        InputRefused: `rows_of` cannot be read, has no rows in an order, or lacks items.
    """
    if source.choices.rows_of is not None:
        return _by_row(source, source.choices.rows_of)
    return write_ordered(source.rows, ["item_id"], f"{scratch}/by_id"), source.items


def _by_row(source: ExportSource, path: str) -> tuple[DataFrame, int]:
    items = source.config.items.model_copy(update={"path": path})
    settings = source.config.model_copy(update={"items": items, "sids": Sids(id=ROW)})
    known = known_ids(source.spark, settings)
    assert known is not None  # there is a path
    assert known.rows is not None  # and sids.id says that its rows count
    places = known.rows.withColumnRenamed(ROW, NUMBER)
    found = source.rows.join(places, "item_id")
    there = found.select("item_id").distinct().count()
    if there < source.items:
        raise InputRefused(
            f"{path} has {there:,} of the {source.items:,} items with a SID: --rows-of takes the items file that the "
            f"other system numbers, with the ids of the run in column {source.config.items.id!r} (items.id)"
        )
    return found, int(one_row(places.groupBy().count())["count"])
