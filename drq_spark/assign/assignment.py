"""Give every item its SID: one pass over the embeddings, then thin rows only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.arrays import F64
from drq_spark.assign.assignment_worker import Totals, assigned_schema, assigner
from drq_spark.formulas.reconstruction import centred_square_sum
from drq_spark.gpu.gpu_tasks_worker import OnGpu
from drq_spark.inputs.items import Catalogue
from drq_spark.row_types import arrow_type, spark_schema
from drq_spark.schemas import ASSIGNMENT_TOTALS
from drq_spark.ship import ship
from drq_spark.staging import Staging
from drq_spark.tokenizer import Tokenizer


@dataclass(frozen=True)
class Assignment:
    """What one assignment leaves, all read from the staging folder.

    Attributes:
        rows: item_id, codes, sid, margin, residual_norm, exposure, embedding_hash, moved_from of every item with a SID.
        quarantined: item_id, reason of every other row.
        totals: Sums over the rows.
        kept: item_id, embedding (array<float>) of the wanted items; None where none was wanted.
        encoded_squared_error: `totals.squared_error` before items were moved apart; None where none was.
    """

    rows: DataFrame
    quarantined: DataFrame
    totals: Totals
    kept: DataFrame | None = None
    encoded_squared_error: float | None = None

    def moved(self, rows: DataFrame, change: F64) -> Assignment:
        """The same with items moved apart.

        Args:
            rows: The rows after it.
            change: float64 [2 + L], what `paths_worker.SUMS` gain; margins stay those of the encoder's choice.
        """
        before = self.totals
        totals = replace(
            before,
            squared_error=before.squared_error + change[0],
            cosine=before.cosine + change[1],
            residual_square=before.residual_square + change[2:],
        )
        return replace(self, rows=rows, totals=totals, encoded_squared_error=before.squared_error)

    def totals_table(self) -> DataFrame:
        """The row of `schemas.ASSIGNMENT_TOTALS`; squares about the anchor become squares about the exact mean."""
        totals = self.totals
        row = {
            "items": totals.items,
            "squared_error": float(totals.squared_error),
            "cosine": float(totals.cosine),
            "centred_square": centred_square_sum(totals.square, totals.offset, totals.items),
            "latent_centred_square": centred_square_sum(totals.latent_square, totals.latent_offset, totals.items),
            "residual_square": totals.residual_square.tolist(),
            "margin": totals.margin.tolist(),
            "uncertain": totals.uncertain.tolist(),
            "encoded_squared_error": self.encoded_squared_error,
        }
        own = [column for column in ASSIGNMENT_TOTALS.columns if column.name in row]
        schema = ", ".join(f"{column.name} {column.type}" for column in own)
        return self.rows.sparkSession.createDataFrame([tuple(row[column.name] for column in own)], schema)


def assign_items(
    catalogue: Catalogue,
    tokenizer: Tokenizer,
    staging: Staging,
    device: Literal["cpu", "gpu"] = "cpu",
    marked: DataFrame | None = None,
) -> Assignment:
    """Encode all items of the catalogue on a device of the executors; what comes out is kept in `staging`.

    The embeddings cross into Python once; codes, reasons and the sums behind the fidelity figures come out of the same
    pass, and so do the embeddings of wanted items.

    Args:
        catalogue: The items.
        tokenizer: What encodes them.
        staging: Folder for what comes out.
        device: What multiplies.
        marked: The rows of the catalogue with `wanted` (boolean, not NULL); None where no item is wanted.
    """
    spark = catalogue.df.sparkSession
    shipped = ship(spark, replace(tokenizer))  # a copy without what the driver has cached
    every = catalogue.df.withColumn("wanted", F.lit(False)) if marked is None else marked
    items = every.select("item_id", "embedding", "exposure", "embedding_hash", "wanted")
    schema = spark_schema(assigned_schema(arrow_type(items, "item_id")))
    assigned = items.mapInArrow(assigner(OnGpu(shipped) if device == "gpu" else shipped), schema)
    staged = staging.keep(assigned, "assigned")
    quarantined = staged.where("reason IS NOT NULL").select("item_id", "reason")
    if catalogue.profile.set_aside:  # else a job for nothing
        quarantined = quarantined.unionByName(staging.keep(catalogue.quarantined, "quarantined"))
    rows = staged.where("reason IS NULL AND totals IS NULL").drop("reason", "kept", "embedding", "totals")
    return Assignment(
        rows=rows.withColumn("moved_from", F.lit(None).cast("bigint")),
        quarantined=quarantined,
        totals=_sum_totals(staged, tokenizer),
        kept=None if marked is None else staged.where("kept").select("item_id", "embedding"),
    )


def _sum_totals(staged: DataFrame, tokenizer: Tokenizer) -> Totals:
    """The totals of all tasks, place by place in one job; zeros where there was nothing to encode, and no task."""
    numbers = staged.where("totals IS NOT NULL").select(F.posexplode("totals").alias("place", "number"))
    sums = numbers.groupBy("place").agg(F.sum("number").alias("sum")).toArrow().sort_by("place")
    return Totals.of_vector(sums["sum"].to_numpy(), tokenizer) if len(sums) else Totals.zero(tokenizer)
