"""The bundle of FORGE and TorchEasyRec after their resolution of collisions."""

from __future__ import annotations

import json
from itertools import accumulate
from uuid import NAMESPACE_URL, uuid5

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from drq_spark.export.export_source import ExportSource
from drq_spark.export.sid_tables import items_by_sid, long_codes
from drq_spark.export.whole_output import Output
from drq_spark.files import write_bytes
from drq_spark.rows import one_row
from drq_spark.sid_columns import codes_of

_ARROW_IDS = {"string": "string", "bigint": "int64", "int": "int32", "smallint": "int16", "tinyint": "int8"}


def write_easyrec(source: ExportSource, output: Output) -> None:
    """`item_to_sid`, `sid_to_items` (Parquet) and, last, `manifest.json`.

    item_to_sid: item_id, origin_codebook (what the embedding has by itself), codebook (list<int64>), offset_codebook
    (each code plus the sizes of the levels before it), index (place among the items of the SID, from 1). sid_to_items:
    codebook, offset_codebook, itemids in the order of index.
    """
    sids = items_by_sid(source.rows).select(
        long_codes().alias("codebook"), _offset(source).alias("offset_codebook"), F.col("item_ids").alias("itemids")
    )
    tables = {"item_to_sid": _item_to_sid(source), "sid_to_items": sids}
    for name, table in tables.items():
        table.write.parquet(f"{output.result}/{name}")
    by_sid = source.spark.read.parquet(f"{output.result}/sid_to_items")
    counted = one_row(by_sid.agg(F.count(F.lit(1)).alias("sids"), F.max(F.size("itemids")).alias("most")))
    rows = {"item_to_sid": source.items, "sid_to_items": int(counted.sids)}
    manifest = _manifest(source, output.target, rows, int(counted.most))
    write_bytes(f"{output.result}/manifest.json", (json.dumps(manifest, indent=2) + "\n").encode())


def _item_to_sid(source: ExportSource) -> DataFrame:
    before = F.when(F.col("moved_from").isNotNull(), codes_of("moved_from", source.codebook_sizes))
    place = F.row_number().over(Window.partitionBy("sid").orderBy("suffix", "item_id"))
    return source.rows.select(
        "item_id",
        F.coalesce(before, F.col("codes")).cast("array<bigint>").alias("origin_codebook"),
        long_codes().alias("codebook"),
        _offset(source).alias("offset_codebook"),
        place.cast("bigint").alias("index"),
    )


def _offset(source: ExportSource) -> Column:
    """Codes of one vocabulary: each plus the sizes of the levels before it."""
    starts = [0, *accumulate(source.codebook_sizes)]
    return F.array(*[F.col("codes")[level].cast("bigint") + starts[level] for level in range(source.levels)])


def _manifest(source: ExportSource, target: str, rows: dict[str, int], most: int) -> dict[str, object]:
    """What identifies the bundle; the same run has the same uuid."""
    collisions = source.config.collisions
    room = collisions.capacity if collisions.policy == "spread" else 1
    return {
        "bundle_uuid": uuid5(NAMESPACE_URL, f"drq_spark:{source.state.run_id}").hex,
        "codebook": list(source.codebook_sizes),
        "capacity": max(room, most),
        "max_observed_items_per_sid": most,
        "artifacts": {
            name: {"save_type": "parquet", "rows": count, "location": f"{target}/{name}"}
            for name, count in rows.items()
        },
        "item_id_type": _ARROW_IDS[source.id_type],
    }
