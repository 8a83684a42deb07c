"""Rows of files by their number, for systems that know an item by its place: `sids.id=row`."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from drq_spark.errors import InputRefused
from drq_spark.table_names import is_delta_table, is_path, is_pattern

ROW = "row"
"""Value of sids.id that means the number of a row, and the name of the column that holds it."""


def numbered(df: DataFrame) -> DataFrame:
    """The rows with column `row` (bigint): their number from 0, in the order of the files' names.

    Args:
        df: Rows as they come from files, nothing joined to them; see `require_files`.
    """
    facts = df.select("_metadata").schema["_metadata"].dataType
    parquet = isinstance(facts, T.StructType) and "row_index" in facts.names  # no other form has it
    block = F.lit(0).cast("bigint") if parquet else F.col("_metadata.file_block_start")
    place = F.col("_metadata.row_index") if parquet else F.monotonically_increasing_id()
    files = {"_file": F.col("_metadata.file_path"), "_block": block, "_place": place}
    found = df.select("*", *[value.alias(name) for name, value in files.items()])
    group = ["_file", "_block"]
    if not parquet:  # the numbers rise within a block, but with gaps between tasks
        found = found.withColumn("_place", F.row_number().over(Window.partitionBy(*group).orderBy("_place")) - 1)
    sizes = found.groupBy(*group).agg(F.count(F.lit(1)).alias("_rows"))
    above = Window.orderBy(*group).rowsBetween(Window.unboundedPreceding, -1)
    before = sizes.select(*group, F.coalesce(F.sum("_rows").over(above), F.lit(0)).alias("_before"))
    joined = found.join(F.broadcast(before), group)
    return joined.withColumn(ROW, F.col("_before") + F.col("_place")).drop(*group, "_place", "_before")


def require_files(spark: SparkSession, path: str, what: str) -> None:
    """Refuse tables whose rows have no order.

    Raises:
        InputRefused: it is a Delta table or a table of a catalog.
    """
    if not is_path(path) or (not is_pattern(path) and is_delta_table(spark, path)):
        raise rows_without_order(path, what)


def rows_without_order(path: str, what: str) -> InputRefused:
    """The refusal of a table whose rows have no numbers."""
    return InputRefused(
        f"{what} {path!r}: sids.id=row takes the number of a row for its id, and the rows of a Delta table or of a "
        "table by name have no order: give Parquet files, or a map with ids"
    )
