"""The table that SIDInspector audits."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.export.export_source import ExportSource
from drq_spark.export.ordered_parts import join_lines
from drq_spark.export.whole_output import Output
from drq_spark.files import writing


def write_inspector(source: ExportSource, output: Output) -> None:
    """item_id, sid_level_0 .., sid (`12-3-7`), method, dataset: Parquet, or one CSV file where the target ends so.

    A suffix that is asked for is one level more; method is the tokenizer.
    """
    table = _table(source)
    if not output.target.endswith(".csv"):
        table.write.parquet(output.result)
        return
    fields = [F.col(name).cast("string") for name in table.columns]
    lines = table.orderBy("item_id").select(F.to_csv(F.struct(*fields)).alias("value"))
    with writing(output.result) as stream:
        stream.write(",".join(table.columns).encode() + b"\n")
        join_lines(lines, f"{output.scratch}/lines", "\n", stream)
        stream.write(b"\n")


def _table(source: ExportSource) -> DataFrame:
    levels = [F.col("codes")[level].cast("bigint") for level in range(source.levels)]
    if source.has_suffix:
        levels.append(F.col("suffix").cast("bigint"))
    named = [column.alias(f"sid_level_{level}") for level, column in enumerate(levels)]
    sid = F.concat_ws("-", *[column.cast("string") for column in levels]).alias("sid")
    method = source.tokenizer.kind if source.tokenizer else "external"
    return source.rows.select(
        "item_id", *named, sid, F.lit(method).alias("method"), F.lit(source.choices.dataset).alias("dataset")
    )
