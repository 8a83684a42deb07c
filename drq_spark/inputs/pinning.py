"""Inputs that stay what they were when a run began: Delta tables by their version, files by what is seen of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.errors import InputRefused
from drq_spark.files import absolute
from drq_spark.inputs.fingerprint import content_hash, sums
from drq_spark.rows import one_row
from drq_spark.table_names import at_version, is_path, is_pattern, quoted, quoted_name

T = TypeVar("T")

_NAMES = {
    ("items", "path"): "items table",
    ("events", "path"): "events table",
    ("measure", "embeddings_after"): "measure.embeddings_after table",
    ("sids", "path"): "SIDs",
}


@dataclass(frozen=True)
class Inputs:
    """The tables that go into a run.

    Attributes:
        spark: The session.
        versions: Section of the setting -> version, of those that are Delta tables.
        seen: What messages call the others and where they are -> what stands for their files; None where a source
            has no files that can be seen.
        items_version: What stands for the version of the items table: id and version of a Delta table, or its files;
            None where neither tells its rows, as of a view, and where there are no items.
    """

    spark: SparkSession
    versions: Mapping[str, int]
    seen: Mapping[tuple[str, str], str | None]
    items_version: str | None

    def refuse_changes(self) -> None:
        """Check that what cannot be pinned is still what it was.

        Raises:
            InputRefused: files have come, gone, or been written again.
        """
        for (what, source), before in self.seen.items():
            if _files(self.spark, source) != before:
                raise InputRefused(
                    f"{what} {source!r} has changed while the run went on: start again when nobody writes to it, "
                    "or give a Delta table, of which a run reads one version"
                )


def pin(spark: SparkSession, config: Config) -> tuple[Config, Inputs]:
    """The settings with the version of every input that is a Delta table (`items@v12`), and what to check of the rest.

    What cannot be read is left for whoever reads it to say so.
    """
    settings = config.model_dump(mode="json")
    versions: dict[str, int] = {}
    seen: dict[tuple[str, str], str | None] = {}
    for (section, name), what in _NAMES.items():
        source = settings[section][name]
        if source is None:
            continue
        base, version = at_version(spark, source)
        latest = _latest_version(spark, base) if version is None else version
        if latest is None:
            seen[what, source] = _files(spark, source)
        else:
            versions[section] = latest
            settings[section][name] = f"{base}@v{latest}"
    return Config.model_validate(settings), Inputs(spark, versions, seen, _items_version(spark, config, versions, seen))


def _items_version(
    spark: SparkSession, config: Config, versions: Mapping[str, int], seen: Mapping[tuple[str, str], str | None]
) -> str | None:
    """See `Inputs.items_version`."""
    source = config.items.path
    if source is None:
        return None
    if "items" not in versions:
        return seen[_NAMES["items", "path"], source] if is_path(source) or _is_stored(spark, source) else None
    base, _ = at_version(spark, source)
    table = one_row(spark.sql(f"DESCRIBE DETAIL {_delta_name(base)}")).id
    return hashlib.sha256(f"{table}@v{versions['items']}".encode()).hexdigest()[:16]


def _is_stored(spark: SparkSession, name: str) -> bool:
    """Whether a name is that of a table; the files of a view do not tell what it takes of them."""
    kind = _unless_unknown(lambda: spark.catalog.getTable(quoted_name(name)).tableType)
    return kind in ("MANAGED", "EXTERNAL")


def _latest_version(spark: SparkSession, source: str) -> int | None:
    """The version of a Delta table; None of everything else."""
    if is_path(source) and is_pattern(source):
        return None
    return _unless_unknown(lambda: int(one_row(spark.sql(f"DESCRIBE HISTORY {_delta_name(source)} LIMIT 1")).version))


def _delta_name(source: str) -> str:
    return f"delta.{quoted(absolute(source))}" if is_path(source) else quoted_name(source)


def _files(spark: SparkSession, source: str) -> str | None:
    """What stands for the names, sizes and times of the files of a source; no file is opened.

    None where there are none to be seen: a table of another system, or nothing at all.
    """
    named = None if is_path(source) else _unless_unknown(lambda: spark.table(quoted_name(source)).inputFiles())
    if named == []:
        return None

    def asked() -> str:
        listed = spark.read.format("binaryFile").load(named or source)  # a file's name may have no slash
        return content_hash(listed.agg(*sums(F.xxhash64("path", "modificationTime", "length"))).collect())

    return _unless_unknown(asked)


def _unless_unknown(ask: Callable[[], T]) -> T | None:
    """What Spark answers; None where it knows no such thing."""
    try:
        return ask()
    except InputRefused:
        return None
    except Exception as error:
        if isinstance(error, PySparkException) or hasattr(error, "java_exception"):  # some of Java's come as they are
            return None
        raise
