"""Give every item its SID: one pass over the embeddings, then thin rows only."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.assign.assignment_worker import Totals, assigned_schema, assigner
from drq_spark.formulas.reconstruction import centred_square_sum
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
        rows: item_id, codes, sid, margin, residual_norm, exposure, embedding_hash of every item with a SID.
        quarantined: item_id, reason of every other row.
        totals: One row, the sums of `schemas.ASSIGNMENT_TOTALS`.
        encoded: Number of items with a SID.
        compiled: How many of these the compiled search encoded; the others are numpy's, with the same bits.
    """

    rows: DataFrame
    quarantined: DataFrame
    totals: DataFrame
    encoded: int
    compiled: int


def assign_items(catalogue: Catalogue, tokenizer: Tokenizer, staging: Staging) -> Assignment:
    """Encode all items of the catalogue; what comes out is kept in `staging`.

    The embeddings cross into Python once; codes, reasons and the sums behind the fidelity figures come out of the same
    pass.
    """
    spark = catalogue.df.sparkSession
    shipped = ship(spark, replace(tokenizer))  # a copy without what the driver has cached
    items = catalogue.df.select("item_id", "embedding", "exposure", "embedding_hash")
    schema = spark_schema(assigned_schema(arrow_type(items, "item_id")))
    assigned = items.mapInArrow(assigner(shipped), schema)
    staged = staging.keep(assigned, "assigned")
    set_aside = staging.keep(catalogue.quarantined, "quarantined")
    faulty = staged.where("reason IS NOT NULL").select("item_id", "reason")
    totals = _sum_totals(staged, tokenizer)
    return Assignment(
        rows=staged.where("reason IS NULL AND totals IS NULL").drop("reason", "totals"),
        quarantined=set_aside.unionByName(faulty),
        totals=_totals_table(spark, totals),
        encoded=totals.items,
        compiled=totals.compiled,
    )


def _sum_totals(staged: DataFrame, tokenizer: Tokenizer) -> Totals:
    """The totals of all tasks, place by place in one job."""
    numbers = staged.where("totals IS NOT NULL").select(F.posexplode("totals").alias("place", "number"))
    sums = numbers.groupBy("place").agg(F.sum("number").alias("sum")).toArrow().sort_by("place")
    return Totals.of_vector(sums["sum"].to_numpy(), tokenizer)


def _totals_table(spark: SparkSession, totals: Totals) -> DataFrame:
    """The row of `schemas.ASSIGNMENT_TOTALS`; squares about the anchor become squares about the exact mean."""
    row = {
        "items": totals.items,
        "squared_error": totals.squared_error,
        "cosine": totals.cosine,
        "centred_square": centred_square_sum(totals.square, totals.offset, totals.items),
        "latent_centred_square": centred_square_sum(totals.latent_square, totals.latent_offset, totals.items),
        "residual_square": totals.residual_square.tolist(),
        "margin": totals.margin.tolist(),
        "uncertain": totals.uncertain.tolist(),
    }
    own = [column for column in ASSIGNMENT_TOTALS.columns if column.name in row]
    schema = ", ".join(f"{column.name} {column.type}" for column in own)
    return spark.createDataFrame([tuple(row[column.name] for column in own)], schema)
