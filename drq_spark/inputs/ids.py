"""Ids of items as strings or integers, whatever type a table has them in, and those of two tables matched.

Numbers that no bigint holds (decimal without a fraction, which unsigned 64-bit integers are read as) become text, and
so do strings with a collation: an id is the same where all of its characters are.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import types as T

from drq_spark.errors import InputRefused
from drq_spark.inputs.tables import column

_INTEGERS = (T.ByteType, T.ShortType, T.IntegerType, T.LongType)


def id_column(source: DataFrame, name: str, setting: str, what: str) -> Column:
    """The ids of a table: of an integer type as they are, else string.

    Raises:
        InputRefused: there is no such column, or its values can be no ids; `what` names the table in messages.
    """
    ids, kind = column(source, name, setting, what), source.schema[name].dataType
    if isinstance(kind, _INTEGERS):
        return ids
    if isinstance(kind, T.StringType) or is_wide(kind):
        return ids.cast("string")
    raise InputRefused(
        f"{what}: id column {name!r} is {kind.simpleString()}; ids must be a string or an integer type, cast it"
    )


def matching_ids(source: DataFrame, name: str, setting: str, what: str, id_type: str) -> Column:
    """The ids of another table in the type of the items' ids; NULL where that type cannot hold one.

    Args:
        source, name, setting, what: As for `id_column`; messages call the column by its setting.
        id_type: Spark SQL type of the items' ids.

    Raises:
        InputRefused: there is no such column, or its type cannot match.
    """
    ids, kind = column(source, name, setting, what), source.schema[name].dataType
    alike = T.StringType if id_type == "string" else _INTEGERS
    if not (isinstance(kind, alike) or is_wide(kind)):
        raise InputRefused(
            f"{what}: column {name!r} ({setting}) is {kind.simpleString()}, the ids of the items table are {id_type}; "
            "both must be strings or both integers"
        )
    return ids.try_cast(id_type)


def is_wide(kind: T.DataType) -> bool:
    """Whether a type holds whole numbers of more digits than a bigint has."""
    return isinstance(kind, T.DecimalType) and kind.scale == 0
