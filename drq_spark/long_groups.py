"""Groups of rows that are too long for one task: found by a count of bounded size, and dealt into parts in order.

A window over a group is one task, however long the group is: one user with 10^7 events or one SID with 10^7 items would
keep a whole cluster waiting. Such a group is dealt into parts by ranges of its order. What a window gives inside a part
is then carried over the boundaries between parts, of which there are few.

Groups are counted by buckets of their hash, so that neither the count nor its result grows with the number of groups.
A bucket that holds too much has a long group, and short ones beside it, for which parts are as right.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F

from drq_spark.rows import one_row
from drq_spark.staging import Staging

ROWS_A_PART = 1_000_000
"""Rows that one task takes: a group with more of them is dealt into parts."""
_BUCKETS = 65_536
_ABOVE_MEAN = 4  # times the mean: where every bucket holds much, none of them holds a long group for that
_SALTS = 64


def bucket_of(group: str) -> Column:
    """Bucket (int) of the group of a row, whose name is in a column."""
    return F.pmod(F.xxhash64(group), F.lit(_BUCKETS)).cast("int")


def full_buckets() -> Column:
    """Aggregate of rows (bucket, rows): array<struct<bucket, rows>> of those that hold more than a part."""
    return F.collect_list(F.when(F.col("rows") > ROWS_A_PART, F.struct("bucket", "rows")))


def long_among(full: Sequence[Row], rows: int) -> tuple[int, ...]:
    """The buckets of `full_buckets` that a long group fills.

    Args:
        full: Rows (bucket, rows).
        rows: Rows of all buckets together.
    """
    limit = max(ROWS_A_PART, _ABOVE_MEAN * rows / _BUCKETS)
    return tuple(sorted(int(found.bucket) for found in full if found["rows"] > limit))


def long_buckets(rows: DataFrame, group: str) -> tuple[int, ...]:
    """The buckets that a long group fills, from one pass over the column that names the groups."""
    counted = rows.groupBy(bucket_of(group).alias("bucket")).agg(F.count(F.lit(1)).alias("rows"))
    found = one_row(counted.agg(F.sum("rows").alias("rows"), full_buckets().alias("full")))
    return long_among(found.full, found["rows"] or 0)


def in_parts(rows: DataFrame, group: str, order: Sequence[Column], staging: Staging, name: str) -> DataFrame:
    """Rows with their `part` (int): those of a group are in order from one part to the next.

    The rows are kept under a name, so that every reader finds them in the same parts. They are read twice before, once
    to find the ranges: they should lie in the staging folder.

    Args:
        rows: The rows, with a column part in none of them.
        group: Column that names the group.
        order: What orders the rows of a group.
        staging: Folder for them.
        name: Their name there.
    """
    ranged = rows.repartitionByRange(max(1, ceil(rows.count() / ROWS_A_PART)), group, *order)
    return staging.keep(ranged.withColumn("part", F.spark_partition_id()), name)


def numbered_in_parts(parts: DataFrame, group: str, order: Sequence[Column], name: str) -> DataFrame:
    """Rows of `in_parts` with their number (int, from 1) in the order of their group, in column `name`."""
    sizes = parts.groupBy(group, "part").agg(F.count(F.lit(1)).alias("size"))
    before = Window.partitionBy(group).orderBy("part").rowsBetween(Window.unboundedPreceding, -1)
    starts = sizes.withColumn("start", F.coalesce(F.sum("size").over(before), F.lit(0))).drop("size")
    inside = F.row_number().over(Window.partitionBy(group, "part").orderBy(*order))
    placed = parts.withColumn(name, inside).join(starts, [group, "part"])
    return placed.withColumn(name, (F.col("start") + F.col(name)).cast("int")).drop("part", "start")


def first_of_groups(rows: DataFrame, group: str, order: Sequence[Column | str], most: int) -> DataFrame:
    """The first `most` rows of every group in an order without ties, with their `place` (int, from 1).

    The first of every part of a group come first, so that no task has all of a long one.
    """
    salted = rows.withColumn("salt", F.pmod(F.xxhash64(*order), F.lit(_SALTS)))
    for keys in ([group, "salt"], [group]):
        placed = salted.withColumn("place", F.row_number().over(Window.partitionBy(*keys).orderBy(*order)))
        salted = placed.where(F.col("place") <= most)
    return salted.drop("salt")
