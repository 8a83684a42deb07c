"""Give every item its SID: one pass over the embeddings, then thin rows only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from pyspark.sql import DataFrame, Row, SparkSession, Window
from pyspark.sql import functions as F

from drq_spark.assign.assignment_worker import ASSIGNED_DDL, assigner
from drq_spark.formulas.reconstruction import centred_square_sum
from drq_spark.inputs.items import Catalogue
from drq_spark.schemas import ASSIGNMENT_TOTALS, SIDS
from drq_spark.ship import ship
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


def assign_items(catalogue: Catalogue, tokenizer: Tokenizer, tokenizer_id: str, staging: str) -> Assignment:
    """Encode all items of the catalogue into a staging folder.

    The embeddings cross into Python once; codes, reasons and the sums behind the fidelity figures come out of the same
    pass.
    """
    spark = catalogue.df.sparkSession
    shipped = ship(spark, replace(tokenizer), tokenizer_id)  # a copy without what the driver has cached
    items = catalogue.df.select("item_id", "embedding", "exposure", "embedding_hash")
    assigned = items.mapInArrow(assigner(shipped), ASSIGNED_DDL.format(id=catalogue.id_type))
    assigned.write.mode("overwrite").parquet(f"{staging}/assigned")
    catalogue.quarantined.write.mode("overwrite").parquet(f"{staging}/quarantined")
    staged = spark.read.parquet(f"{staging}/assigned")
    set_aside = spark.read.parquet(f"{staging}/quarantined")
    faulty = staged.where("reason IS NOT NULL").select("item_id", "reason")
    return Assignment(
        rows=staged.where("reason IS NULL").drop("reason", "totals"),
        quarantined=set_aside.unionByName(faulty),
        totals=_sum_totals(spark, staged.where("totals IS NOT NULL").select("totals.*")),
    )


def with_suffix(rows: DataFrame, previous: DataFrame | None) -> DataFrame:
    """Number the items that share a SID: 0, 1, .. by falling exposure, then id.

    Args:
        rows: item_id, sid, exposure and more.
        previous: item_id, sid, suffix of the published run of the same tokenizer, whose items keep their suffix;
            newcomers get the next free ones.
    """
    order = [F.desc_nulls_last("exposure"), F.asc("item_id")]
    if previous is None:
        return rows.withColumn("suffix", F.row_number().over(Window.partitionBy("sid").orderBy(*order)) - 1)
    known = previous.select("item_id", F.col("sid").alias("known_sid"), F.col("suffix").alias("known_suffix"))
    kept = F.when(F.col("known_sid") == F.col("sid"), F.col("known_suffix"))
    matched = rows.join(known, "item_id", "left").withColumn("kept", kept).drop("known_sid", "known_suffix")
    first_free = F.coalesce(F.max("kept").over(Window.partitionBy("sid")), F.lit(-1))
    newcomers = Window.partitionBy("sid", F.col("kept").isNull()).orderBy(*order)
    suffix = F.coalesce(F.col("kept"), first_free + F.row_number().over(newcomers))
    return matched.withColumn("suffix", suffix.cast("int")).drop("kept")


def sids_table(rows: DataFrame, run_id: str, run_date: str, tokenizer_id: str) -> DataFrame:
    """Rows with suffix as the sids table."""
    stamped = rows.withColumns(
        {
            "tokenizer_id": F.lit(tokenizer_id),
            "run_id": F.lit(run_id),
            "run_date": F.lit(run_date).cast("date"),
        }
    )
    return stamped.select(*SIDS.column_names())


def totals_table(totals: DataFrame, run_id: str, tokenizer_id: str) -> DataFrame:
    """The one row of sums as the assignment_totals table."""
    stamped = totals.withColumns({"run_id": F.lit(run_id), "tokenizer_id": F.lit(tokenizer_id)})
    return stamped.select(*ASSIGNMENT_TOTALS.column_names())


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
