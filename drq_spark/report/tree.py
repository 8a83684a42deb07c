"""The largest prefixes of a run, from its prefix_usage table."""

from __future__ import annotations

from collections import defaultdict

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from drq_spark.report.data import Branch

_BRANCHES = 12  # first codes shown by themselves
_CHILDREN = 8  # prefixes of two codes below each


def tree(prefixes: DataFrame, codebook_sizes: tuple[int, ...]) -> tuple[Branch, ...]:
    """The largest prefixes of one code, each with its largest children and at the end the others together.

    Args:
        prefixes: Rows of prefix_usage; at most 12 + 12 * 8 of them reach the driver.
    """
    if len(codebook_sizes) < 3:  # prefix_usage has prefixes shorter than a SID
        return ()
    first = prefixes.where(F.col("level") == 1).orderBy(F.desc("items"), "prefix").limit(_BRANCHES).collect()
    if not first:
        return ()
    parent = F.expr(f"prefix div {codebook_sizes[1]}").alias("parent")
    second = prefixes.where(F.col("level") == 2).select("prefix", "items", parent)
    second = second.where(F.col("parent").isin([row.prefix for row in first]))
    largest = Window.partitionBy("parent").orderBy(F.desc("items"), "prefix")
    ranked = second.withColumn("place", F.row_number().over(largest)).where(F.col("place") <= _CHILDREN)
    children = defaultdict(list)
    for row in ranked.orderBy("parent", "place").collect():
        children[row.parent].append(Branch(row.prefix % codebook_sizes[1], row["items"]))
    return tuple(Branch(row.prefix, row["items"], _with_rest(children[row.prefix], row["items"])) for row in first)


def _with_rest(branches: list[Branch], items: int) -> tuple[Branch, ...]:
    rest = items - sum(branch.items for branch in branches)
    return (*branches, Branch(None, rest)) if rest > 0 else tuple(branches)
