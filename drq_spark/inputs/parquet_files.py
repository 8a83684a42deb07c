"""The Parquet files behind a path, looked at before Spark reads them: which columns they hold, and where they disagree.

Spark takes the columns of one file for those of all. Here the footer of every file is read on the driver, by the file
systems that pyarrow knows, and Spark is asked for what all of them hold. Where pyarrow does not get at the files
(another machine's disk, credentials that Spark alone has), Spark's own word counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from drq_spark.errors import ConfigError, InputRefused
from drq_spark.files import resolve
from drq_spark.inputs.parquet_types import FileColumn, decoded, from_arrow, from_spark, widened, wider
from drq_spark.table_names import quoted

UNREADABLE = "drq_spark.unreadable"
"""Key in the metadata of a column that stands for one that cannot be read: why, as text."""

NO_PARQUET = "it holds no readable Parquet file; items and events are read from Delta or Parquet"
_SPARK_SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"
_THREADS = 16  # footers are waited for, not computed
_MARK = b"PAR1"


@dataclass(frozen=True)
class Footer:
    """What the end of a file tells.

    Attributes:
        file: Its address.
        rows: How many it has; None where it is no Parquet file.
        columns: Its columns; none in a file of 0 bytes.
        is_empty: Whether it has 0 bytes.
        is_damaged: Whether it should be a Parquet file, by its first bytes or its name, and is none.
    """

    file: str
    rows: int | None
    columns: tuple[FileColumn, ...] = ()
    is_empty: bool = False
    is_damaged: bool = False


@dataclass(frozen=True)
class CommonColumn:
    """A column as the files with rows hold it.

    Attributes:
        column: How it is asked for.
        fault: Why it cannot be read; None where it can.
        without: Files that lack it.
    """

    column: FileColumn
    fault: str | None = None
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class ParquetFiles:
    """The files behind a path.

    Attributes:
        footers: Of every file that Spark reads, in the order of their addresses.
        columns: What those with rows hold together, in the order of the first file.
    """

    footers: tuple[Footer, ...]
    columns: tuple[CommonColumn, ...]

    def notes(self, names: Iterable[str]) -> tuple[str, ...]:
        """What to know of the files before their rows are used, as far as these columns are concerned."""
        wanted, told = set(names), []
        empty = [footer.file for footer in self.footers if footer.is_empty]
        if empty:
            told.append(f"{_count(empty, len(self.footers))} of 0 bytes, without rows")
        for common in self.columns:
            if common.without and common.column.name in wanted:
                many = _count(common.without, len(self.footers))
                told.append(f"column {common.column.name!r} is missing in {many}: NULL in their rows")
        return tuple(told)


def open_parquet(spark: SparkSession, source: str, what: str) -> DataFrame:
    """The rows of Parquet files by path or glob, with the columns that any of them holds.

    A column that cannot be read stands there as NULL, with the reason under `UNREADABLE` in its metadata.

    Raises:
        InputRefused: a file is damaged or no Parquet file, or there is none; `what` is what messages call the table.
    """
    found = parquet_files(spark, source, what)
    if found is None:
        return spark.read.parquet(source)
    partitions = _bare(spark, source).columns
    inside = {name.casefold() for name in partitions}
    columns = [common for common in found.columns if common.column.name.casefold() not in inside]
    fields = [T.StructField(common.column.name, common.column.type) for common in columns
              if common.fault is None and common.column.type is not None]  # fmt: skip
    rows = spark.read.schema(T.StructType(fields)).parquet(source)
    return rows.select(*map(_value, columns), *[F.col(quoted(name)) for name in partitions])


def parquet_files(spark: SparkSession, source: str, what: str) -> ParquetFiles | None:
    """The files behind a path or glob that Spark would read; None where pyarrow does not get at them.

    Raises:
        InputRefused: as `open_parquet`.
    """
    footers = _footers(sorted(_bare(spark, source).inputFiles()))
    if footers is None:
        return None
    for footer in footers:
        if footer.is_damaged:
            raise InputRefused(f"{what} {source!r} has a damaged file: {footer.file}")
    foreign = [footer for footer in footers if footer.rows is None and not footer.is_empty]
    read = [footer for footer in footers if footer.rows is not None]
    if not read:
        raise InputRefused(f"{what} {source!r} cannot be read: {NO_PARQUET}")
    if foreign:
        raise InputRefused(
            f"{what} {source!r} holds {file_name(foreign[0].file)!r}, which is no Parquet file: take it out, or name "
            "the others by a glob such as DIR/*.parquet"
        )
    return ParquetFiles(footers, _common(read))


def file_name(file: str) -> str:
    """The last part of an address: what tells a file from the others of its folder."""
    return PurePosixPath(unquote(urlsplit(file).path)).name


def _bare(spark: SparkSession, source: str) -> DataFrame:
    """The files without any of their columns; nothing is read of them."""
    return spark.read.schema(T.StructType()).parquet(source)


def _value(common: CommonColumn) -> Column:
    name = common.column.name
    if common.fault is not None:
        return F.lit(None).cast("string").alias(name, metadata={UNREADABLE: common.fault})
    return decoded(F.col(quoted(name)), common.column).alias(name)


def _common(read: Sequence[Footer]) -> tuple[CommonColumn, ...]:
    """Columns by name, upper and lower case being the same to Spark; files without rows tell nothing of types."""
    footers = [footer for footer in read if footer.rows] or read
    held: dict[str, dict[FileColumn, str]] = {}  # how files hold a column -> the first file that holds it so
    holders: dict[str, list[str]] = {}
    for footer in footers:
        for column in footer.columns:
            held.setdefault(column.name.casefold(), {}).setdefault(column, footer.file)
            holders.setdefault(column.name.casefold(), []).append(footer.file)
    files = [footer.file for footer in footers]
    return tuple(_agreed(kinds, holders[name], files) for name, kinds in held.items())


def _agreed(kinds: Mapping[FileColumn, str], holders: Sequence[str], files: Sequence[str]) -> CommonColumn:
    holding = set(holders)
    without = tuple(file for file in files if file not in holding)
    common, odd = widened(list(kinds))
    fault = None
    if odd is not None:
        before = next((kind for kind in kinds if wider(kind, odd) is None), common)
        told = " and ".join(f"{kind.said} in {file_name(kinds[kind])}" for kind in (before, odd))
        fault = f"is {told}: no type holds both without loss, write the files with one type"
    elif common.type is None:
        fault = f"is {common.said}, which Spark does not read: write it as another type"
    elif len(holding) < len(holders):
        fault = f"is there twice, in upper and in lower case ({', '.join(kind.name for kind in kinds)}): rename one"
    return CommonColumn(common, fault, without)


def _count(files: Sequence[str], all_files: int) -> str:
    more = f" (first: {file_name(files[0])})"
    return f"{len(files):,} of {all_files:,} files{more}"


@dataclass(frozen=True)
class _Place:
    """A file as it is now; one that has not changed is not read again."""

    file: str
    path: str
    size: int
    changed: int | None
    system: fs.FileSystem = field(compare=False)


def _footers(files: Sequence[str]) -> tuple[Footer, ...] | None:
    try:
        with ThreadPoolExecutor(_THREADS) as threads:
            return tuple(threads.map(_footer_now, files, *_systems(files)))
    except (OSError, ConfigError, NotImplementedError):
        return None


def _systems(files: Sequence[str]) -> tuple[list[fs.FileSystem], list[str]]:
    """File system of every address and the path on it; the system of each scheme and host is opened once."""
    roots: dict[str, tuple[fs.FileSystem, str]] = {}
    systems, paths = [], []
    for file in files:
        scheme, host, path, *_ = urlsplit(file)
        root = f"{scheme}://{host}/"
        if root not in roots:
            roots[root] = (fs.LocalFileSystem(), "") if scheme == "file" else resolve(root)
        systems.append(roots[root][0])
        paths.append(f"{roots[root][1].rstrip('/')}/{unquote(path).lstrip('/')}")
    return systems, paths


def _footer_now(file: str, system: fs.FileSystem, path: str) -> Footer:
    info = system.get_file_info(path)
    if info.type == fs.FileType.NotFound:
        raise FileNotFoundError(path)  # it is of another machine
    return _footer(_Place(file, path, info.size, info.mtime_ns, system))


@lru_cache(maxsize=2**17)
def _footer(place: _Place) -> Footer:
    if place.size == 0:
        return Footer(place.file, None, is_empty=True)
    with place.system.open_input_file(place.path) as stream:
        try:
            parquet = pq.ParquetFile(stream)
        except (pa.ArrowInvalid, OSError) as error:
            if isinstance(error, OSError) and "thrift" not in str(error):
                raise  # the file could not be read, whatever is in it
            stream.seek(0)
            is_damaged = stream.read(len(_MARK)) == _MARK or place.path.endswith(".parquet")
            return Footer(place.file, None, is_damaged=is_damaged)
        return Footer(place.file, parquet.metadata.num_rows, _columns(parquet))


def _columns(parquet: pq.ParquetFile) -> tuple[FileColumn, ...]:
    """Its columns as Spark names them where Spark wrote the file, else as Parquet and Arrow do."""
    left = (parquet.metadata.metadata or {}).get(_SPARK_SCHEMA)
    if left is not None:
        return tuple(map(from_spark, T.StructType.fromJson(json.loads(left)).fields))
    leaves = {leaf.path: leaf for leaf in (parquet.schema.column(n) for n in range(len(parquet.schema)))}
    return tuple(_column(own, leaves.get(own.name)) for own in parquet.schema_arrow)


def _column(own: pa.Field, leaf: pq.ColumnSchema | None) -> FileColumn:
    if leaf is None:  # a group
        return from_arrow(own.name, own.type)
    return from_arrow(own.name, own.type, leaf.physical_type, leaf.logical_type.type)
