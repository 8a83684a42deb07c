"""Semantic IDs as columns of Spark: the spellings of `drq_spark.tokenizer.keys`."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from drq_spark.tokenizer.keys import place_values


def codes_of(key: str, codebook_sizes: Sequence[int]) -> Column:
    """Codes array<int> of a column of keys (bigint); codes of NULL where the key is NULL."""
    digits = zip(place_values(codebook_sizes).tolist(), codebook_sizes, strict=True)
    return F.array(*[F.expr(f"CAST(({key} DIV {value}) % {size} AS INT)") for value, size in digits])
