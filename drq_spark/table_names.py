"""What a table is called: path, glob or name; quoting of names that users chose."""

from __future__ import annotations

import re

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from drq_spark.errors import InputRefused

_GLOB = re.compile(r"[*?\[{]")
_QUOTED = re.compile(r"`(?:[^`]|``)+`")
_NAME_PART = re.compile(r"`(?:[^`]|``)+`|[^.`]+")
_VERSION = re.compile(r"(.+)@v([0-9]{1,18})", re.DOTALL)
_NO_DELTA_TABLE = ("DELTA_TABLE_NOT_FOUND", "DELTA_MISSING_DELTA_TABLE", "DELTA_PATH_DOES_NOT_EXIST", "PATH_NOT_FOUND")


def is_path(source: str) -> bool:
    """Whether a source is a path or glob rather than a table name."""
    bare = _QUOTED.sub("", source)
    return "/" in bare or is_pattern(bare) or bare.endswith(".parquet")


def at_version(spark: SparkSession, source: str) -> tuple[str, int | None]:
    """A source without the version that it names (`/shop/items@v12`, `shop.items@v12`), and that; None where none is.

    A folder or table that is really called so is not taken apart: only a Delta table has versions.
    """
    named = _VERSION.fullmatch(source)
    if named is None or (is_path(source) and (is_pattern(source) or not is_delta_table(spark, named[1]))):
        return source, None
    return named[1], int(named[2])


def is_pattern(path: str) -> bool:
    """Whether Spark takes a path for a glob."""
    return bool(_GLOB.search(path))


def quoted_name(name: str) -> str:
    """A possibly dotted table name with every part quoted.

    Raises:
        InputRefused: unbalanced backticks or an empty part.
    """
    parts = _NAME_PART.findall(name)
    if not parts or ".".join(parts) != name:
        raise InputRefused(f"{name!r} is not a table name: quote parts with special characters in backticks")
    return ".".join(part if part.startswith("`") else quoted(part) for part in parts)


def quoted(identifier: str) -> str:
    """One identifier in backticks, whatever characters it has."""
    return "`" + identifier.replace("`", "``") + "`"


def is_delta_table(spark: SparkSession, path: str) -> bool:
    """Whether Delta finds a table at a path.

    Only Delta's own word counts. A table that cannot be read for another reason raises, because its folder may hold
    files that have been deleted.
    """
    return delta_schema(spark, path) is not None


def delta_schema(spark: SparkSession, path: str) -> StructType | None:
    """Schema of the Delta table at a path; None where `is_delta_table` finds none."""
    try:
        return spark.read.format("delta").load(path).schema
    except PySparkException as error:
        if error.getCondition() not in _NO_DELTA_TABLE:
            raise
        return None
