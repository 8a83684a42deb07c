"""Give every item its SID: one pass over the embeddings, then thin rows only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from drq_spark.assign.assignment_worker import ASSIGNED_DDL, assigner
from drq_spark.formulas.reconstruction import centred_square_sum
from drq_spark.inputs.items import Catalogue
from drq_spark.schemas import ASSIGNMENT_TOTALS
from drq_spark.ship import ship
from drq_spark.staging import Staging
from drq_spark.tokenizer import Tokenizer


@dataclass(frozen=True)
class Assignment:
    """What one assignment leaves, all read from the staging folder.

    Attributes:
        rows: item_id, codes, sid, margin, residual_norm, exposure, embedding_hash of every item with a SID.
        quarantined: item_id, reason of every other row. totals: one row, the sums of `schemas.ASSIGNMENT_TOTALS`.
    """

    rows: DataFrame
    quarantined: DataFrame
    totals: DataFrame


def assign_items(catalogue: Catalogue, tokenizer: Tokenizer, staging: Staging) -> Assignment:
    """Encode all items of the catalogue; what comes out is kept in `staging`.

    The embeddings cross into Python once; codes, reasons and the sums behind the fidelity figures come out of the same
    pass.
    """
    spark = catalogue.df.sparkSession
    shipped = ship(spark, replace(tokenizer))  # a copy without what the driver has cached
    items = catalogue.df.select("item_id", "embedding", "exposure", "embedding_hash")
    assigned = items.mapInArrow(assigner(shipped), ASSIGNED_DDL.format(id=catalogue.id_type))
    staged = staging.keep(assigned, "assigned")
    set_aside = staging.keep(catalogue.quarantined, "quarantined")
    faulty = staged.where("reason IS NOT NULL").select("item_id", "reason")
    return Assignment(
        rows=staged.where("reason IS NULL").drop("reason", "totals"),
        quarantined=set_aside.unionByName(faulty),
        totals=_sum_totals(spark, staged.where("totals IS NOT NULL").select("totals.*")),
    )


def _sum_totals(spark: SparkSession, parts: DataFrame) -> DataFrame:
    """Sum the batches' totals; squares about the anchor become squares about the exact mean."""
    scalars = ("items", "squared_error", "cosine", "square", "latent_square")
    arrays = ("offset", "latent_offset", "residual_square", "margin", "uncertain")
    sums = parts.agg(*[F.sum(name).alias(name) for name in scalars]).first()
    assert sums is not None  # an aggregation without keys has one row
    vectors = {name: _sum_elements(parts, name) for name in arrays}
    items = sums["items"]
    row = Row(
        items=items,
        squared_error=sums.squared_error,
        cosine=sums.cosine,
        centred_square=centred_square_sum(sums.square, np.array(vectors["offset"]), items),
        latent_centred_square=centred_square_sum(sums.latent_square, np.array(vectors["latent_offset"]), items),
        residual_square=vectors["residual_square"],
        margin=vectors["margin"],
        uncertain=vectors["uncertain"],
    )
    wanted = [column for column in ASSIGNMENT_TOTALS.columns if column.name in row]
    return spark.createDataFrame([row], ", ".join(f"{column.name} {column.type}" for column in wanted))


def _sum_elements(parts: DataFrame, name: str) -> list[float]:
    exploded = parts.select(F.posexplode(name).alias("position", "value"))
    rows = exploded.groupBy("position").agg(F.sum("value").alias("value")).orderBy("position").collect()
    return [row.value for row in rows]
