"""The forms in which other systems leave their SIDs, all read as rows of item_id and codes.

The content of a file says what it is, not its name: Parquet by its mark, index-json by its first brace, CSV otherwise.
"""

from __future__ import annotations

import re

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from drq_spark.config import Sids
from drq_spark.errors import InputRefused
from drq_spark.inputs.tables import column, unreadable_refused
from drq_spark.rows import one_row
from drq_spark.table_names import is_delta_table, is_path, is_pattern, quoted, quoted_name

WHAT = "SIDs"
_TEXT_FILES = (".json", ".csv", ".gz")  # a path even without a slash
_IDS = ("item_id", "pid")
_LEVEL = re.compile(r"(sid_level|sid|level|code)_([0-9]+)")
_PREFIXES = ("sid_level", "sid", "level", "code")

# Java's regular expressions
_ENTRY = r'^\s*[{,]\s*"(?:[^"\\]++|\\.)*+"\s*:\s*\['
_TOKEN = r"^\s*(<([^<>]*[^<>0-9-])?-?[0-9]{1,18}>|-?[0-9]{1,18})\s*$"
_NUMBER = r"(-?[0-9]+)>?\s*$"
_MARKER = r"^\s*<\|[^<>]*\|>\s*$"  # <|sid_begin|> and its like
_TOKENS = r"^\s*(<[^<>]*>\s*)+$"
_NUMBERS = r"^\s*[\[(]?\s*[0-9]{1,18}(\s*[-,;:_|/\s]\s*[0-9]{1,18})*\s*[\])]?\s*$"


def open_sids(spark: SparkSession, settings: Sids, path: str) -> DataFrame:
    """Rows item_id (of its own type; text where the form has no types), codes array<bigint> and unreadable.

    codes are as they stand, of any length, NULL where there are none; `unreadable` is the text that holds no codes,
    NULL in all other rows.

    Raises:
        InputRefused: there is nothing, it is no form of SIDs, or a column is missing or of another type.
    """
    with unreadable_refused(path, WHAT):
        kind, source = _opened(spark, path)
        source.schema  # noqa: B018 - Connect looks at the table only when asked
    if kind == "index-json":
        return _read(source, F.col("item_id"), [F.col("codes")], whole=True)
    id_name = settings.id or _first(source, _IDS)
    item_id = column(source, id_name, "sids.id", WHAT)
    id_type = source.schema[id_name].dataType
    if not isinstance(id_type, T.StringType | T.IntegralType):
        raise InputRefused(
            f"{WHAT}: id column {id_name!r} is {id_type.simpleString()}; it must be a string or an integer, cast it"
        )
    if settings.column is not None:
        return _read(source, item_id, [column(source, settings.column, "sids.column", WHAT)], whole=True)
    levels = _level_columns(source.columns)
    if "codes" not in source.columns and levels:
        return _read(source, item_id, [F.col(quoted(name)) for name in levels], whole=False)
    return _read(source, item_id, [column(source, _first(source, ("codes", "sid")), "sids.column", WHAT)], whole=True)


def _opened(spark: SparkSession, path: str) -> tuple[str, DataFrame]:
    """What a source is, and its rows."""
    if not is_path(path) and not path.endswith(_TEXT_FILES):
        return "table", spark.table(quoted_name(path))
    if not is_pattern(path) and is_delta_table(spark, path):
        return "Delta", spark.read.format("delta").load(path)
    # the piece before the first comma: small, whatever the file, and of every file system that Spark knows
    piece = spark.read.option("lineSep", ",").text(path).select("value")
    marks = piece.select(
        F.col("value").startswith("PAR1").alias("parquet"), F.col("value").rlike(r"^\x{FEFF}?\s*[{\[]").alias("json")
    )
    first = marks.first()
    if first is None:
        raise InputRefused(f"{WHAT} {path!r} is empty")
    if first.parquet:
        return "Parquet", spark.read.parquet(path)
    return ("index-json", _index_json(spark, path)) if first.json else ("CSV", spark.read.csv(path, header=True))


def _index_json(spark: SparkSession, path: str) -> DataFrame:
    """item_id (text), codes (array<string>) of one document {"id": [codes], ..}.

    The document is cut at every "]", so that it is read in parts by many tasks, whatever its size; each part must be an
    entry, the last one the closing brace.
    """
    pieces = spark.read.option("lineSep", "]").text(path)
    value = F.regexp_replace("value", r"^\x{FEFF}", "")
    entry = F.concat(F.lit("{"), F.regexp_replace(value, r"^\s*[{,]", ""), F.lit("]}"))
    parsed = F.when(value.rlike(_ENTRY), F.from_json(entry, "map<string,array<string>>"))
    found = pieces.select(value.alias("value"), parsed.alias("entry"))
    end = F.col("value").rlike(r"^\s*\}\s*$")
    sums = found.agg(
        F.count_if(F.col("entry").isNotNull() & F.col("value").rlike(r"^\s*\{")).alias("begun"),
        F.count_if(end).alias("ended"),
        F.min(F.when(F.col("entry").isNull() & ~end, F.substring("value", 1, 60))).alias("other"),
    )
    seen = one_row(sums)
    if seen.other is not None or not seen.begun or seen.begun != seen.ended:
        where = "it ends early" if seen.other is None else f"near {' '.join(seen.other.split())!r}"
        raise InputRefused(f'{WHAT} {path!r} is JSON, but not of the form {{"id": ["<a_1>", "<b_2>"], ..}}: {where}')
    return found.select(F.explode("entry").alias("item_id", "codes"))


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
