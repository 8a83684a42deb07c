"""Items by number, for systems that know an item by its place."""

from __future__ import annotations

from pyspark.sql import DataFrame

from drq_spark.errors import InputRefused
from drq_spark.export.export_source import ExportSource
from drq_spark.export.ordered_parts import NUMBER, write_ordered
from drq_spark.external.row_numbers import ROW, numbered, require_files
from drq_spark.inputs.ids import matching_ids
from drq_spark.inputs.tables import read_table

_WHAT = "file of --rows-of"


def count_of_numbers(source: ExportSource) -> int:
    """How many numbers there are: that of the items, or with `rows_of` that of the rows of those files.

    Raises:
        InputRefused: the files cannot be read, or their rows have no order.
    """
    return source.items if source.choices.rows_of is None else _places(source, source.choices.rows_of).count()


def numbered_rows(source: ExportSource, scratch: str) -> DataFrame:
    """The rows with column number (bigint, from 0).

    That is an item's place in the order of ids (integers by value, text by its bytes), or with `rows_of` that of a row
    of those files with its id; numbers of rows whose item has no SID are left out.

    Args:
        source: What is exported.
        scratch: A folder for what is needed only on the way.

    Raises:
        InputRefused: as `count_of_numbers`, or the files lack items.
    """
    if source.choices.rows_of is None:
        return write_ordered(source.rows, ["item_id"], f"{scratch}/by_id")
    found = source.rows.join(_places(source, source.choices.rows_of), "item_id")
    there = found.select("item_id").distinct().count()
    if there < source.items:
        raise InputRefused(
            f"{source.choices.rows_of} has {there:,} of the {source.items:,} items with a SID: --rows-of takes the "
            f"file whose rows another system numbers, with the ids of the run in column {source.config.items.id!r} "
            "(items.id)"
        )
    return found


def _places(source: ExportSource, path: str) -> DataFrame:
    """item_id, number of every row of the files."""
    require_files(source.spark, path, _WHAT)
    table = read_table(source.spark, path, _WHAT)
    ids = matching_ids(table, source.config.items.id, "items.id", _WHAT, source.id_type)
    return numbered(table).select(ids.alias("item_id"), ROW).withColumnRenamed(ROW, NUMBER)
