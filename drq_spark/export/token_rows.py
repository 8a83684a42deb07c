"""SIDs as tokens: one JSON object of all items (LC-Rec, LETTER, MiniOneRec), or a table of texts."""

from __future__ import annotations

from pyspark.sql import functions as F

from drq_spark.export.export_source import ExportSource
from drq_spark.export.item_numbers import numbered_rows
from drq_spark.export.ordered_parts import NUMBER, join_lines
from drq_spark.export.token_rows_worker import line_writer, text_writer
from drq_spark.export.whole_output import Output
from drq_spark.files import writing


def write_index_json(source: ExportSource, output: Output) -> None:
    """`{"id": ["<a_183>", "<b_70>", ..], ..}` in one file, sorted by id or by number.

    Executors write the members, the driver puts them together block by block.
    """
    rows, key = source.rows, "item_id"
    if source.choices.numbered or source.choices.rows_of is not None:
        rows, key = numbered_rows(source, output.scratch), NUMBER
    members = rows.orderBy(key).select(
        F.col(key).cast("string").alias("key"), "codes", source.chosen_suffix.alias("suffix")
    )
    lines = members.mapInArrow(line_writer(source.choices.tokens), "value string")
    with writing(output.result) as stream:
        stream.write(b"{\n")
        join_lines(lines, f"{output.scratch}/members", ",\n", stream)
        stream.write(b"\n}\n")


def write_tokens(source: ExportSource, output: Output) -> None:
    """Parquet: item_id, sid (text such as `<a_12><b_3><c_7>`)."""
    rows = source.rows.select("item_id", "codes", source.chosen_suffix.alias("suffix"))
    texts = rows.mapInArrow(text_writer(source.choices.tokens), f"item_id {source.id_type}, sid string")
    texts.write.parquet(output.result)
