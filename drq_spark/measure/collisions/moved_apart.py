"""What `collisions.policy: spread` has done: items that were moved, those that found no SID, and before."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.measure.subject import Subject
from drq_spark.metrics import ITEMS, Metric, MetricRow
from drq_spark.rows import one_row


def moved_apart(subject: Subject, per_sid: DataFrame) -> list[MetricRow]:
    """moved_items, unplaced_items and unique_sids_encoded; none where items were not to be moved.

    Args:
        subject: What is measured.
        per_sid: Rows of `sid_counts.sid_counts`.
    """
    settings = subject.config.collisions
    if not subject.encodes or settings.policy != "spread":
        return []
    own = F.coalesce("moved_from", "sid").alias("own")
    of_own = subject.sids.groupBy(own).agg(F.count("moved_from").alias("moved"))
    before = one_row(of_own.agg(F.count(F.lit(1)).alias("sids"), F.coalesce(F.sum("moved"), F.lit(0)).alias("moved")))
    units = F.col("distinct_embeddings" if settings.duplicates == "together" else "items")
    beyond = F.sum(F.greatest(units - settings.capacity, F.lit(0)))
    unplaced = one_row(per_sid.agg(F.coalesce(beyond, F.lit(0)).alias("items")))["items"]
    values = {
        Metric.MOVED_ITEMS: before.moved, Metric.UNPLACED_ITEMS: unplaced, Metric.UNIQUE_SIDS_ENCODED: before.sids,
    }  # fmt: skip
    return [MetricRow(metric.value, 0, ITEMS, None, float(value)) for metric, value in values.items()]
