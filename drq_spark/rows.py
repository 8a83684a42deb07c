"""Small results on the driver."""

from __future__ import annotations

from pyspark.sql import DataFrame, Row


def one_row(df: DataFrame) -> Row:
    """The row of a DataFrame that has exactly one, as an aggregation without keys has.

    Raises:
        ValueError: it has none or several.
    """
    [row] = df.collect()
    return row
