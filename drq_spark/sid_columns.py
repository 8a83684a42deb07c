"""Semantic IDs as columns of Spark: the spellings of `drq_spark.tokenizer.keys` and `drq_spark.tokens`."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from drq_spark.tokenizer.keys import place_values
from drq_spark.tokens import SidTokens


def codes_of(key: str, codebook_sizes: Sequence[int]) -> Column:
    """Codes array<int> of a column of keys (bigint); codes of NULL where the key is NULL."""
    digits = zip(place_values(codebook_sizes).tolist(), codebook_sizes, strict=True)
    return F.array(*[F.expr(f"CAST(({key} DIV {value}) % {size} AS INT)") for value, size in digits])


def tokens_of(codes: Column, levels: int, spelling: SidTokens) -> Column:
    """Token texts of a column of codes (array<int>), as `SidTokens.texts` has them; NULL where there are none."""
    parts = [F.lit(spelling.begin)]
    for level in range(levels):
        before, behind = spelling.around(level)
        parts += [F.lit(before), codes[level].cast("string"), F.lit(behind)]
    return F.concat(*parts, F.lit(spelling.end))
