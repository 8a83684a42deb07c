"""Everything that is measured of a `Subject`: the one place where figures and their tables are collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.measure import aggregate
from drq_spark.measure.figures import Aggregates, Churn, Totals, all_figures
from drq_spark.measure.subject import Subject
from drq_spark.measure.values import MetricRow
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
    folder = f"{subject.staging}/prefixes"
    aggregate.prefix_counts(subject.sids, subject.codebook_sizes).write.mode("overwrite").parquet(folder)
    prefixes = subject.spark.read.parquet(folder)
    usage = aggregate.code_usage(subject.sids, subject.codebook_sizes)
    counted = Aggregates(
        rows_in=known.rows_in,
        rows_quarantined=known.rows_quarantined,
        usage=usage,
        prefixes=aggregate.prefix_sums(prefixes),
        distinct_embeddings=aggregate.distinct_embeddings(subject.sids),
        totals=known.totals,
        churn=known.churn,
    )
    figures = [*all_figures(counted, subject.tokenizer, subject.config.measure), *known.fidelity]
    rows = [tuple(asdict(row).values()) for row in figures]
    return {
        CODE_USAGE: aggregate.usage_table(subject.spark, usage),
        PREFIX_USAGE: prefixes.where(F.col("level") < subject.levels),
        SID_USAGE: aggregate.top_buckets(subject.sids, prefixes, subject.levels, subject.config.measure.top_buckets),
        METRICS: subject.spark.createDataFrame(rows, _METRICS_DDL),
    }
