"""How items that share a SID are told apart: suffixes 0, 1, .., which never move while the tokenizer stays."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from drq_spark.runs import Run
from drq_spark.schemas import SIDS


def published_suffixes(run: Run) -> DataFrame | None:
    """item_id, sid and suffix of the run that readers follow, where it has the same tokenizer."""
    followed = run.followed
    if followed is None:
        return None
    same = run.store.read(SIDS, followed).where(F.col("tokenizer_id") == F.lit(run.state.tokenizer_id))
    return same.select("item_id", "sid", "suffix")


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
