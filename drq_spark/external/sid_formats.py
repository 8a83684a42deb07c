"""The forms in which other systems leave their SIDs, all read as rows of item_id and codes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from drq_spark.config import Sids
from drq_spark.errors import InputRefused
from drq_spark.external.sid_files import USUAL_IDS, WHAT, open_sid_table
from drq_spark.inputs.tables import column, require_columns, unreadable_refused

_LEVEL = re.compile(r"(sid_level|sid|level|code)_([0-9]+)")
_PREFIXES = ("sid_level", "sid", "level", "code")
_CODE = re.compile(r"\s*(?:<[^<>]*[0-9]>|[0-9]+)?\s*")  # of one level; empty where an item lacks it

# Java's regular expressions
_TOKEN = r"^\s*(<([^<>]*[^<>0-9-])?-?[0-9]{1,18}>|-?[0-9]{1,18})\s*$"
_NUMBER = r"(-?[0-9]+)>?\s*$"
_MARKER = r"^\s*<\|[^<>]*\|>\s*$"  # <|sid_begin|> and its like
_TOKENS = r"^\s*(<[^<>]*>\s*)+$"
_NUMBERS = r"^\s*[\[(]?\s*[0-9]{1,18}(\s*[-,;:_|/\s]\s*[0-9]{1,18})*\s*[\])]?\s*$"


@dataclass(frozen=True)
class OpenedSids:
    """A map as it stands, and what to know of the way it was read.

    Attributes:
        rows: item_id (of its own type; text where the form has no types), codes array<bigint> and unreadable. codes
            are as they stand, of any length, NULL where there are none; `unreadable` is the text that holds no codes,
            NULL in all other rows.
        notes: For the report.
    """

    rows: DataFrame
    notes: tuple[str, ...]


def open_sids(spark: SparkSession, settings: Sids, path: str, levels: int | None = None) -> OpenedSids:
    """The map at a path, a glob or under a name, in any of the forms; `levels` is L where it is known.

    Raises:
        InputRefused: there is nothing, it is no form of SIDs, or a column is missing or of another type.
    """
    with unreadable_refused(path, WHAT):
        table = open_sid_table(spark, settings, path, levels)
        table.df.schema  # noqa: B018 - Connect looks at the table only when asked
    if table.keyed:
        return OpenedSids(_read(table.df, F.col("item_id"), [F.col("codes")], whole=True), table.notes)
    source = table.df
    ids, codes = _unnamed(settings, table.first) if table.first is not None else _named(settings, source)
    whole = len(codes) == 1 and (settings.column is not None or not _level_columns(list(codes)))
    rows = "" if settings.id else ", or take row numbers for ids with --set sids.id=row"
    require_columns(source, [("sids.id", ids), *(("sids.column", name) for name in codes)], WHAT, rows)
    id_type = source.schema[ids].dataType
    if not isinstance(id_type, T.StringType | T.IntegralType):
        raise InputRefused(
            f"{WHAT}: id column {ids!r} is {id_type.simpleString()}; it must be a string or an integer, cast it"
        )
    columns = [column(source, name, "sids.column", WHAT) for name in codes]
    return OpenedSids(_read(source, column(source, ids, "sids.id", WHAT), columns, whole=whole), table.notes)


def _named(settings: Sids, source: DataFrame) -> tuple[str, tuple[str, ...]]:
    """The id column, and the column of whole SIDs or those of the levels, of a table with names."""
    ids = settings.id or _first(source, USUAL_IDS)
    levels = _level_columns(source.columns)
    if settings.column is None and "codes" not in source.columns and levels:
        return ids, tuple(levels)
    return ids, (settings.column or _first(source, ("codes", "codebook", "sid")),)


def _unnamed(settings: Sids, first: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The same of text without a header, by its first line: ids, then a SID or a code per column."""
    names = [f"_c{place}" for place in range(len(first))]
    ids = settings.id or names[0]
    if settings.column is not None:
        return ids, (settings.column,)
    codes = {name: field for name, field in zip(names, first, strict=True) if name != ids}
    if len(codes) == 1 or (codes and all(_CODE.fullmatch(field) for field in codes.values())):
        return ids, tuple(codes)
    shown = ", ".join(f"{name} ({field[:30]!r})" for name, field in zip(names, first, strict=True))
    raise InputRefused(
        f"{WHAT} have no header; their columns are {shown}: say with --set sids.id=COLUMN --set sids.column=COLUMN "
        "which hold ids and codes, or with --set sids.id=row that row numbers are the ids"
    )


def _first(source: DataFrame, names: tuple[str, ...]) -> str:
    """The first name that is a column; the first of all where none is."""
    return next((name for name in names if name in source.columns), names[0])


def _level_columns(names: list[str]) -> list[str]:
    """Columns sid_level_0, sid_level_1, .. and their like, in order; none where no prefix counts from 0 or 1."""
    for prefix in _PREFIXES:
        found = {int(m[2]): name for name in names if (m := _LEVEL.fullmatch(name)) and m[1] == prefix}
        if found and list(range(min(found), max(found) + 1)) == sorted(found) and min(found) <= 1:
            return [found[place] for place in sorted(found)]
    return []


def _read(source: DataFrame, item_id: Column, columns: list[Column], *, whole: bool) -> DataFrame:
    """Rows of `open_sids`, from one column with a whole SID or from a column per level."""
    chosen = source.select(item_id.alias("item_id"), *[part.alias(f"part_{i}") for i, part in enumerate(columns)])
    parts = [_whole(chosen, "part_0")] if whole else [_level(chosen, f"part_{i}") for i in range(len(columns))]
    tokens = parts[0] if whole else F.array(*parts)
    texts = chosen.select("item_id", tokens.alias("tokens"))
    if not whole:  # levels that an item lacks are the last ones
        texts = texts.withColumn("tokens", F.slice("tokens", 1, F.size(F.array_compact("tokens"))))
    kind = texts.schema["tokens"].dataType
    if isinstance(kind, T.ArrayType) and isinstance(kind.elementType, T.LongType):
        return texts.select("item_id", F.col("tokens").alias("codes"), F.lit(None).cast("string").alias("unreadable"))
    codes = F.filter("tokens", lambda token: F.coalesce(~token.rlike(_MARKER), F.lit(True)))
    bad = F.coalesce(F.exists("codes", lambda token: ~token.rlike(_TOKEN)), F.lit(False))
    number = F.transform("codes", lambda token: F.regexp_extract(token, _NUMBER, 1).try_cast("bigint"))
    kept = texts.select("item_id", codes.alias("codes"))
    return kept.select("item_id", number.alias("codes"), F.when(bad, F.array_join("codes", " ")).alias("unreadable"))


def _whole(source: DataFrame, name: str) -> Column:
    """A column with whole SIDs as array<bigint> or, where there is text to read, array<string>."""
    kind = source.schema[name].dataType
    if isinstance(kind, T.ArrayType) and isinstance(kind.elementType, T.IntegralType):
        return F.col(name).cast("array<bigint>")
    if isinstance(kind, T.ArrayType) and isinstance(kind.elementType, T.StringType):
        return F.col(name)
    if isinstance(kind, T.StringType):
        tokens = F.regexp_extract_all(name, F.lit("<[^<>]*>"), F.lit(0))
        numbers = F.regexp_extract_all(name, F.lit("[0-9]+"), F.lit(0))
        text = F.col(name)
        return (
            F.when(text.rlike(_TOKENS), tokens)
            .when(text.rlike(_NUMBERS), numbers)
            .when(text.rlike(r"\S"), F.array(text))  # one token that no code is: unreadable
        )
    raise _wrong_type(kind)


def _level(source: DataFrame, name: str) -> Column:
    """A column of one level as text: it may be a token."""
    kind = source.schema[name].dataType
    if not isinstance(kind, T.StringType | T.IntegralType):
        raise _wrong_type(kind)
    text = F.col(name).cast("string")
    return F.when(text.rlike(r"\S"), text)


def _wrong_type(kind: T.DataType) -> InputRefused:
    return InputRefused(
        f"{WHAT}: the codes are {kind.simpleString()}; they must be a list of integers or of tokens, text such as "
        "<a_12><b_3> or 12-3, or a column of integers per level"
    )
