"""Where a map is, and what it is: its content says so, not its name."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from itertools import takewhile

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.config import Sids
from drq_spark.errors import InputRefused
from drq_spark.external import notes
from drq_spark.external.array_files import ArrayNames, read_array_file
from drq_spark.external.delimited_text import text_form
from drq_spark.external.file_heads import JSON, NUMPY, PARQUET, ZIP, form_of, text_of
from drq_spark.external.json_documents import read_document, refused_document
from drq_spark.external.row_numbers import ROW, numbered, rows_without_order
from drq_spark.inputs.parquet_files import open_parquet
from drq_spark.inputs.tables import read_table
from drq_spark.table_names import at_version, is_delta_table, is_path, is_pattern

WHAT = "SIDs"
USUAL_IDS = ("item_id", "pid")
_FILE = re.compile(r"\.(?:json|jsonl|ndjson|csv|tsv|txt|npy|npz|pt|pth|pkl|pickle|safetensors|gz)$")  # even without a /
_PIECES, _PIECE = 60, 2000  # of a file's beginning: pieces, and bytes of each


@dataclass(frozen=True)
class SidTable:
    """A map as a table whose columns are still to be told.

    Attributes:
        df: Its rows.
        keyed: Whether its columns are item_id and codes and nothing else, because the form says so.
        first: The fields of its first line, where nothing names its columns and they are _c0, _c1 and so on.
        notes: What to know of the way it was read.
    """

    df: DataFrame
    keyed: bool = False
    first: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def open_sid_table(spark: SparkSession, settings: Sids, path: str, levels: int | None) -> SidTable:
    """The table behind a path, a glob or a table name; column `item_id` has row numbers where sids.id is `row`.

    Raises:
        InputRefused: there is nothing, or it is no form of SIDs.
    """
    if not is_path(path) and not _FILE.search(path):
        return _without_order(SidTable(read_table(spark, path, WHAT)), settings, path)
    if at_version(spark, path)[1] is not None or (not is_pattern(path) and is_delta_table(spark, path)):
        return _without_order(SidTable(read_table(spark, path, WHAT)), settings, path)
    head = _head(spark, path)
    form = form_of(head, path)
    if form in (NUMPY, ZIP):
        names = ArrayNames(None if settings.id == ROW else settings.id, settings.column, settings.id == ROW, levels)
        array = read_array_file(spark, path, names)
        return SidTable(array.rows, keyed=True, notes=(notes.rows_are_ids(),) if array.numbered else ())
    if form == PARQUET:
        return _rows_numbered(SidTable(open_parquet(spark, path, WHAT)), settings)
    text = text_of(head, path)
    if form == JSON:
        return _json(spark, settings, path, text)
    return _delimited(spark, settings, path, text)


def _head(spark: SparkSession, path: str) -> bytes:
    """The first bytes of a file, on every file system that Spark knows: pieces up to the first commas, put together."""
    pieces = spark.read.option("lineSep", ",").text(path).limit(_PIECES)
    cut = pieces.select(F.substring(F.col("value").cast("binary"), 1, _PIECE).alias("piece")).collect()
    whole = list(takewhile(lambda row: len(row.piece) < _PIECE, cut))
    head = b",".join(bytes(row.piece) for row in cut[: len(whole) + 1])
    if not head:
        raise InputRefused(f"{WHAT} {path!r} is empty")
    return head


def _json(spark: SparkSession, settings: Sids, path: str, head: str) -> SidTable:
    """A document of ids and codes, lines of objects, or a list of objects."""
    bare = head.lstrip("\ufeff \t\r\n")
    if re.match(r"\[\s*\{", bare):
        return _objects(spark.read.option("multiLine", True).json(path), settings, path)
    if bare.startswith("["):
        raise refused_document(
            path, "a list has no ids; numpy.save('codes.npy', json.load(open(..))) makes an array whose rows are ids"
        )
    names = {settings.id, settings.column, *USUAL_IDS, "codes", "sid"} - {None, ROW}
    if _is_a_line(bare, {str(name) for name in names}):
        return _objects(spark.read.json(path), settings, path)
    return SidTable(read_document(spark, path, head), keyed=True)


def _is_a_line(head: str, names: set[str]) -> bool:
    """Whether the first object is one row of several: another one follows, or its keys are names of columns."""
    try:
        first, end = json.JSONDecoder().raw_decode(head)
    except ValueError:  # longer than what was looked at
        return any(re.search(rf'[{{,]\s*"{re.escape(name)}"\s*:\s*[^{{\s]', head) for name in names)
    return bool(re.match(r"\s*\{", head[end:])) or (
        bool(names & set(first)) and not any(isinstance(value, dict) for value in first.values())
    )


def _objects(df: DataFrame, settings: Sids, path: str) -> SidTable:
    if "_corrupt_record" in df.columns:
        others = [name for name in df.columns if name != "_corrupt_record"]
        bad = df.select("_corrupt_record", *others[:1]).where("_corrupt_record IS NOT NULL").first()
        if bad is not None:
            raise refused_document(path, f"near {' '.join(str(bad[0]).split())[:60]!r}")
    return _rows_numbered(SidTable(df), settings)


def _delimited(spark: SparkSession, settings: Sids, path: str, head: str) -> SidTable:
    form = text_form(head.split("\n"))
    df = spark.read.csv(path, header=form.header, sep=form.delimiter)
    told = () if form.header else (notes.no_header(form.first, rows=settings.id == ROW),)
    return _rows_numbered(SidTable(df, first=None if form.header else form.first, notes=told), settings)


def _rows_numbered(table: SidTable, settings: Sids) -> SidTable:
    """The table with column `row`, where sids.id asks for it and no column is called so."""
    wanted = settings.id == ROW and ROW not in table.df.columns
    return replace(table, df=numbered(table.df)) if wanted else table


def _without_order(table: SidTable, settings: Sids, path: str) -> SidTable:
    if settings.id == ROW and ROW not in table.df.columns:
        raise rows_without_order(path, WHAT)
    return table
