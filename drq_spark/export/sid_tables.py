"""Plain tables of SIDs: an item's codes, and a SID's items."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from drq_spark.export.export_source import ExportSource
from drq_spark.export.whole_output import Output


def long_codes(name: str = "codes") -> Column:
    """Codes as other systems take them, array<bigint>."""
    return F.col(name).cast("array<bigint>")


def items_by_sid(rows: DataFrame) -> DataFrame:
    """sid, codes, item_ids: the items of each SID in the order of their suffixes."""
    grouped = rows.groupBy("sid").agg(
        F.first("codes").alias("codes"), F.sort_array(F.collect_list(F.struct("suffix", "item_id"))).alias("items")
    )
    return grouped.select("sid", "codes", F.col("items.item_id").alias("item_ids"))


def write_codes(source: ExportSource, output: Output) -> None:
    """Parquet: item_id, codes (list<int64>)."""
    source.rows.select("item_id", long_codes().alias("codes")).write.parquet(output.result)


def write_lookup(source: ExportSource, output: Output) -> None:
    """Parquet: sid (int64), codes (list<int64>), item_ids (list); one row a SID."""
    found = items_by_sid(source.rows)
    found.select("sid", long_codes().alias("codes"), "item_ids").write.parquet(output.result)
