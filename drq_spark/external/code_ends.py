"""The codes that a map holds at both ends of every level, and whether its last code is one, in one pass."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from drq_spark.rows import one_row


@dataclass(frozen=True)
class CodeEnds:
    """What the codes of a map are.

    Attributes:
        lowest: The lowest code of every level, as it stands.
        largest: The largest one.
        longer: Items with one code more than a SID has.
        last_numbers: Whether the last code only numbers the items that have all codes before it in common: from 0 or 1
            without a gap wherever there are several, and one and the same code wherever there is one.
    """

    lowest: list[int]
    largest: list[int]
    longer: int
    last_numbers: bool


def code_ends(rows: DataFrame, levels: int) -> CodeEnds:
    """The ends of the first `levels` codes of rows with column codes (array<bigint>, none NULL)."""
    codes = [F.get("codes", F.lit(level)) for level in range(levels)]
    last = codes[-1]
    by_prefix = rows.groupBy(F.xxhash64(F.slice("codes", 1, levels - 1)).alias("prefix")).agg(
        F.count(F.lit(1)).alias("rows"),
        F.sum(last).alias("sum"),
        F.count_if(F.size("codes") > levels).alias("longer"),
        *[F.min(code).alias(f"low_{level}") for level, code in enumerate(codes)],
        *[F.max(code).alias(f"high_{level}") for level, code in enumerate(codes)],
    )
    low, high = F.col(f"low_{levels - 1}"), F.col(f"high_{levels - 1}")
    alone = F.when(F.col("rows") == 1, low)
    found = one_row(
        by_prefix.agg(
            F.sum("longer").alias("longer"),
            F.count_if(F.col("rows") > 1).alias("shared"),
            F.count_if((F.col("rows") > 1) & ~_counted(low, high)).alias("other"),
            F.min(alone).alias("alone_low"),
            F.max(alone).alias("alone_high"),
            *[F.min(f"low_{level}").alias(f"low_{level}") for level in range(levels)],
            *[F.max(f"high_{level}").alias(f"high_{level}") for level in range(levels)],
        )
    )
    numbers = levels > 1 and found.shared > 0 and found.other == 0 and found.alone_low == found.alone_high
    return CodeEnds(
        lowest=[int(found[f"low_{level}"]) for level in range(levels)],
        largest=[int(found[f"high_{level}"]) for level in range(levels)],
        longer=int(found.longer),
        last_numbers=numbers,
    )


def _counted(low: Column, high: Column) -> Column:
    """Whether the last codes of a prefix are those from 0 or 1 on, as their number, their ends and their sum tell."""
    return low.isin(0, 1) & (high - low == F.col("rows") - 1) & (F.col("sum") * 2 == F.col("rows") * (low + high))
