"""One JSON document {"id": [codes], ..} or {"id": "<a_1><b_2>", ..}, read in parts by many tasks, whatever its size."""

from __future__ import annotations

import json
import re

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.errors import InputRefused
from drq_spark.rows import one_row

_KEY = re.compile(r'\ufeff?\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*')
_NEXT = re.compile(r'\s*,\s*"')
_IS_A_SID = re.compile(r"\s*(<[^<>]*[0-9]>\s*)+$")

# Java's regular expressions
_BEGIN = r'^\x{FEFF}?\s*\{\s*"'
_END = r"\}\s*$"
_STRING = r'"(?:[^"\\]++|\\.)*+"'
_ONE_OBJECT = r"^\s*\{[^{}]*\}\s*$"


def read_document(spark: SparkSession, path: str, head: str) -> DataFrame:
    """item_id (text), codes (array<string>, or string where the values are text) of one document.

    The document is cut where one entry ends and the next begins, by the very characters that part the first two: ids
    may hold any character. Each part must be whole entries.

    Args:
        spark: The session.
        path: Path or glob.
        head: The first characters of a file.

    Raises:
        InputRefused: it is JSON of another form, or ends early.
    """
    opening, between = _marks(head, path)
    found = _parts(spark.read.option("lineSep", between).text(path), opening, between)
    sums = found.agg(
        F.count_if("begins").alias("begun"),
        F.count_if("ends").alias("ended"),
        F.min(F.when(F.col("entries").isNull(), F.substring("value", 1, 60))).alias("other"),
    )
    seen = one_row(sums)
    if seen.other is not None or not seen.begun or seen.begun != seen.ended:
        where = "it ends early" if seen.begun > seen.ended else f"near {' '.join((seen.other or head[:60]).split())!r}"
        raise refused_document(path, where)
    return found.select(F.explode("entries").alias("item_id", "codes"))


def refused_document(path: str, where: str) -> InputRefused:
    """The refusal of JSON that is no map, with the forms that are one."""
    return InputRefused(
        f'SIDs {path!r} is JSON, but not of the form {{"id": ["<a_1>", "<b_2>"], ..}} or lines of {{"item_id": .., '
        f'"codes": [..]}}: {where}'
    )


def _marks(head: str, path: str) -> tuple[str, str]:
    """The sign that begins a value, [ or a quote, and what parts two entries, with the sign that ends a value."""
    begun = _KEY.match(head)
    if begun is None:
        raise refused_document(path, f"near {' '.join(head[:60].split())!r}")
    if _IS_A_SID.match(key := head[: begun.end()].strip("\ufeff \t\r\n{:").strip('"')):
        raise refused_document(
            path, f"its keys are SIDs, such as {key[:40]!r}: turn it round, so that its keys are ids"
        )
    opening, end = head[begun.end() : begun.end() + 1], begun.end()
    if opening in ("[", '"'):
        try:
            _, end = json.JSONDecoder().raw_decode(head, begun.end())
        except ValueError:
            opening = ""
    if opening not in ("[", '"'):
        raise refused_document(path, f"near {' '.join(head[:60].split())!r}")
    parted = _NEXT.match(head, end)
    closing = "]" if opening == "[" else '"'
    return opening, closing + (parted[0] if parted else ', "')


def _parts(pieces: DataFrame, opening: str, between: str) -> DataFrame:
    """value, begins, ends, entries (map; NULL where the piece is no whole entries) of each piece of the document."""
    begins, ends = F.col("value").rlike(_BEGIN), F.col("value").rlike(_END)
    bare = F.regexp_replace("value", r"^\x{FEFF}", "")
    text = F.concat(
        F.when(begins, bare).otherwise(F.concat(F.lit('{"'), bare)),
        F.when(ends, F.lit("")).otherwise(F.lit(between[0] + "}")),
    )
    kind = "map<string,array<string>>" if opening == "[" else "map<string,string>"
    whole = F.regexp_replace(text, _STRING, "").rlike(_ONE_OBJECT)  # braces in ids are no braces of the document
    entries: Column = F.when(whole, F.from_json(text, kind))
    return pieces.select("value", begins.alias("begins"), ends.alias("ends"), entries.alias("entries"))
