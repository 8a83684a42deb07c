"""What the SIDs say of the embeddings: x_hat of every item."""

from __future__ import annotations

from dataclasses import replace

from drq_spark.export.export_source import ExportSource
from drq_spark.export.reconstructions_worker import decoder
from drq_spark.export.whole_output import Output
from drq_spark.ship import ship


def write_reconstructions(source: ExportSource, output: Output) -> None:
    """Parquet: item_id, embedding (list<float32>), decoded on the executors.

    Raises:
        ConfigError: the run has no tokenizer.
    """
    tokenizer = source.require_tokenizer("reconstruction")
    shipped = ship(source.spark, replace(tokenizer))  # a copy without what the driver has cached
    rows = source.rows.select("item_id", "codes")
    decoded = rows.mapInArrow(decoder(shipped), f"item_id {source.id_type}, embedding array<float>")
    decoded.write.parquet(output.result)
