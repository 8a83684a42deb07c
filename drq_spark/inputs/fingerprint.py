"""What stands for the content of a table: the same for the same rows, whatever their order, files and partitions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql import types as T

_LOW_BITS = 2**28 - 1  # sums of 28-bit numbers fit a bigint up to 3 * 10^10 rows


def sums(hashed: Column) -> list[Column]:
    """Aggregates of rows by their hashes (bigint): rows, xor and sum."""
    return [
        F.count(F.lit(1)).alias("rows"),
        F.bit_xor(hashed).alias("xor"),
        F.sum(hashed.bitwiseAND(_LOW_BITS)).alias("sum"),
    ]


def sums_of_groups() -> list[Column]:
    """The same aggregates over rows that each hold those of a group."""
    return [F.sum("rows").alias("rows"), F.bit_xor("xor").alias("xor"), F.sum("sum").alias("sum")]


def content_hash(groups: Sequence[T.Row], form: str = "") -> str:
    """16 hex digits of the aggregates of all groups; `form` is what else counts, such as types."""
    xor = 0
    for group in groups:
        xor ^= group.xor or 0
    rows, total = sum(group["rows"] for group in groups), sum(group["sum"] or 0 for group in groups)
    return hashlib.sha256(f"{form}:{rows}:{xor}:{total}".encode()).hexdigest()[:16]
