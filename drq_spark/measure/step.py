"""Everything that is measured of a `Subject`: the one place where figures and their tables are collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pyspark.sql import DataFrame

from drq_spark.measure import aggregate, collisions
from drq_spark.measure.figures import Aggregates, Churn, Totals, all_figures
from drq_spark.measure.segments import segment_thresholds, usage_by_segment
from drq_spark.measure.subject import Subject
from drq_spark.measure.values import MetricRow, Segments
from drq_spark.schemas import CODE_USAGE, METRICS, PREFIX_USAGE, SID_USAGE, Table

_METRICS_DDL = (
    "metric string, level int, weighting string, eta double, value double, standard_error double, ruler string"
)


@dataclass(frozen=True)
class Known:
    """What is known of a subject before it is measured; see `figures.Aggregates`.

    Attributes:
        fidelity: figures of the reconstruction where there are no totals to make them of.
    """

    rows_in: int
    rows_quarantined: int
    totals: Totals | None = None
    churn: Churn | None = None
    fidelity: Sequence[MetricRow] = ()


def measured(subject: Subject, known: Known) -> Mapping[Table, DataFrame]:
    """The tables of figures without run_id and tokenizer_id; some read from the staging folder of the subject."""
    sids, sizes = subject.sids, subject.codebook_sizes
    thresholds = segment_thresholds(sids)
    per_sid = _staged(subject, collisions.sid_counts(sids, thresholds), "per_sid")
    shorter = _staged(subject, aggregate.shorter_prefixes(per_sid, sizes), "prefixes")
    usage, of_segments = usage_by_segment(sids, sizes, thresholds)
    counted = Aggregates(
        rows_in=known.rows_in,
        rows_quarantined=known.rows_quarantined,
        usage=usage,
        prefixes=aggregate.prefix_sums(shorter, per_sid, subject.levels),
        buckets=collisions.bucket_sums(subject, per_sid),
        segments=None if thresholds is None else Segments(thresholds, of_segments),
        totals=known.totals,
        churn=known.churn,
    )
    figures = [*all_figures(counted, subject.tokenizer, subject.config.measure), *known.fidelity]
    rows = [tuple(asdict(row).values()) for row in figures]
    return {
        CODE_USAGE: aggregate.usage_table(subject.spark, usage),
        PREFIX_USAGE: shorter,
        SID_USAGE: aggregate.top_buckets(sids, per_sid, subject.config.measure.top_buckets),
        METRICS: subject.spark.createDataFrame(rows, _METRICS_DDL),
    }


def _staged(subject: Subject, df: DataFrame, name: str) -> DataFrame:
    """Computed once, into the staging folder, and read from there."""
    folder = f"{subject.staging}/{name}"
    df.write.mode("overwrite").parquet(folder)
    return subject.spark.read.parquet(folder)
