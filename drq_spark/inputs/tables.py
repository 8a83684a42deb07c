"""Reading a table by path, glob or name, with what can go wrong in one line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.errors import InputRefused, did_you_mean
from drq_spark.files import one_line
from drq_spark.inputs.parquet_files import NO_PARQUET, UNREADABLE, open_parquet, parquet_files
from drq_spark.outside_faults import setup_fault
from drq_spark.table_names import at_version, is_delta_table, is_path, is_pattern, quoted, quoted_name

_MESSAGE_LENGTH = 300
_REFUSAL = r"Caused by: (?:org\.apache\.spark\.|\S*Access)\S*: (?!\[FAILED_READ_FILE)([^\n]+)"
"""What Spark or a file system says of a sound file that it does not read; a damaged one is a matter of Java's."""


def read_table(spark: SparkSession, source: str, what: str) -> DataFrame:
    """A Delta table or Parquet files by path or glob, or any table by name.

    Args:
        spark: The session.
        source: A path where it holds a slash or a glob character or ends in .parquet, else a table name
            (`catalog.schema.table`; parts with special characters in backticks). A folder is Delta where Delta says so,
            Parquet otherwise.
        what: What messages call it.

    Raises:
        InputRefused: it is not there or not readable.
    """
    with unreadable_refused(source, what):
        df = _named_or_at(spark, source, what)
        df.schema  # noqa: B018 - Connect looks at the table only when asked
        return df


def file_notes(spark: SparkSession, source: str, what: str, names: Iterable[str]) -> tuple[str, ...]:
    """What to know of the files of a table before its rows are used, as far as some columns are concerned.

    Nothing of Delta tables and tables by name, which keep account of their files.
    """
    if not is_path(source) or at_version(spark, source)[1] is not None:
        return ()
    if not is_pattern(source) and is_delta_table(spark, source):
        return ()
    found = parquet_files(spark, source, what)
    return () if found is None else found.notes(names)


@contextmanager
def unreadable_refused(source: str, what: str) -> Iterator[None]:
    """Raise `InputRefused` where the work inside opens a table that Spark cannot open."""
    try:
        yield
    except Exception as error:
        if (fault := setup_fault(error)) is not None:
            raise fault from None
        condition = spark_condition(error)
        if condition is None:
            raise
        raise InputRefused(f"{what} {source!r} cannot be read: {_reason(condition, error)}") from None


def _named_or_at(spark: SparkSession, source: str, what: str) -> DataFrame:
    base, version = at_version(spark, source)
    reader = spark.read if version is None else spark.read.option("versionAsOf", version)
    if not is_path(source):
        return reader.table(quoted_name(base))
    if version is not None or (not is_pattern(source) and is_delta_table(spark, source)):
        return reader.format("delta").load(base)
    return open_parquet(spark, source, what)


def column(df: DataFrame, name: str, setting: str, what: str) -> Column:
    """The top-level column of exactly that name.

    Raises:
        InputRefused: there is none, see `require_columns`; or the files hold it so that it cannot be read.
    """
    require_columns(df, [(setting, name)], what)
    fault = df.schema[name].metadata.get(UNREADABLE)
    if fault is not None:
        raise InputRefused(f"{what}: column {name!r} ({setting}) {fault}")
    return F.col(quoted(name))


def require_columns(df: DataFrame, wanted: Sequence[tuple[str, str]], what: str, otherwise: str = "") -> None:
    """Refuse a table that lacks columns; `wanted` has settings, each with the column that it names.

    `otherwise` is what else can be done, and ends the message.

    Raises:
        InputRefused: the message names all that are missing, the columns there are, and how to name them.
    """
    missing = [(setting, name) for setting, name in wanted if name not in df.columns]
    if not missing:
        return
    told = " and no column ".join(f"{name!r} ({setting})" for setting, name in missing)
    hints = [(setting, did_you_mean(name, df.columns)) for setting, name in missing]
    guesses = " ".join(dict.fromkeys(hint.strip() for _, hint in hints if hint))
    remedy = " ".join(f"--set {setting}=COLUMN" for setting in dict.fromkeys(setting for setting, _ in missing))
    raise InputRefused(
        f"{what} has no column {told}: {guesses}{' ' if guesses else ''}It has {', '.join(df.columns)}; name yours "
        f"with {remedy}{otherwise}"
    )


@contextmanager
def damage_refused(source: str, what: str) -> Iterator[None]:
    """Raise `InputRefused` where the work inside reads all of a table and meets a file that cannot be read."""
    try:
        yield
    except Exception as error:
        condition = spark_condition(error) or ""
        if not condition.startswith("FAILED_READ_FILE"):
            raise
        raise InputRefused(f"{what} {source!r} {_file_fault(condition, str(error))}") from None


def _file_fault(condition: str, text: str) -> str:
    """What is wrong with a file, by Spark's message."""
    named = re.search(r"reading file (\S+?)\.?\s", text)
    file = f": {named.group(1)}" if named else ""
    types = re.search(r"column \[(.+?)\]\. Expected Spark type (.+?), actual Parquet type (\w+)", text)
    if types:
        name, asked, held = types.groups()
        return (
            f"has files that disagree: column {name.split(',')[0]!r} is {asked} in some and {held} (Parquet's name) in "
            f"this one{file}; write the files with one type"
        )
    if "FILE_NOT_EXIST" in condition:
        return f"has lost a file while it was read{file}; start again when nobody writes to it"
    if "ChecksumException" in text:  # Hadoop keeps one beside every local file that it writes
        return f"has a file that does not match the checksum in the .crc file beside it{file}; rewritten, or damaged?"
    refusal = re.search(_REFUSAL, text)
    if refusal:
        return f"cannot be read{file}: {refusal.group(1)[:_MESSAGE_LENGTH]}"
    return f"has a damaged file{file}"


def spark_condition(error: Exception) -> str | None:
    """Spark's own name of an error, empty where it has none; None where the error is not Spark's.

    A classic session hands on some of Java's errors as they are, as `py4j.protocol.Py4JJavaError`.
    """
    if isinstance(error, PySparkException):
        return error.getCondition() or ""
    java = getattr(error, "java_exception", None)
    if java is None or not str(java.getClass().getName()).startswith("org.apache.spark."):
        return None
    return str(java.getCondition() or "")


def _reason(condition: str, error: Exception) -> str:
    if condition.startswith(("PATH_NOT_FOUND", "TABLE_OR_VIEW_NOT_FOUND")):
        return "there is nothing of that name; use a path or glob of files, a Delta folder or a table name"
    if condition.startswith("REQUIRES_SINGLE_PART_NAMESPACE"):
        return (
            "a name of three parts needs a catalog such as Unity Catalog, and this Spark session has none; name a "
            "table as schema.table, or give a path"
        )
    if condition.startswith(("UNABLE_TO_INFER_SCHEMA", "CANNOT_READ_FILE_FOOTER", "FAILED_READ_FILE")):
        return NO_PARQUET
    return one_line(error)[:_MESSAGE_LENGTH]
