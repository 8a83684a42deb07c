"""Everything that is measured of a `Subject`: the one place where figures and their tables are collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pyspark.sql import DataFrame

from drq_spark.measure.aggregates import Segments
from drq_spark.measure.behaviour.retrieval import retrieval
from drq_spark.measure.capacity.sid_capacity import whole_sid_capacity
from drq_spark.measure.capacity.sigma import scales
from drq_spark.measure.collisions import sid_counts as collisions
from drq_spark.measure.collisions.bucket_spread import bucket_spread
from drq_spark.measure.figures import Aggregates, Churn, Totals, all_figures
from drq_spark.measure.information.attribute_gains import attribute_gains
from drq_spark.measure.perturbation.flips import items_at_risk, perturbation
from drq_spark.measure.subject import Subject
from drq_spark.measure.usage import code_usage as aggregate
from drq_spark.measure.usage.segments import segment_thresholds, usage_by_segment
from drq_spark.metrics import MetricRow
from drq_spark.progress import Progress
from drq_spark.schemas import (
    ATTRIBUTE_GAINS,
    CODE_CONFUSION,
    CODE_USAGE,
    ITEMS_AT_RISK,
    METRICS,
    PREFIX_USAGE,
    SID_USAGE,
    Table,
)

_METRICS_DDL = (
    "metric string, level int, weighting string, eta double, value double, standard_error double, ruler string"
)


@dataclass(frozen=True)
class Known:
    """What is known of a subject before it is measured; see `figures.Aggregates`.

    Attributes:
        fidelity, spread: figures of the reconstruction, and the mean of ||x - mean||^2 over all items, where there are
        no totals to make them of; none and None where embeddings are not known.
    """

    rows_in: int
    rows_quarantined: int
    totals: Totals | None = None
    churn: Churn | None = None
    fidelity: Sequence[MetricRow] = ()
    spread: float | None = None

    @property
    def mean_centred_square(self) -> float | None:
        """Mean of ||x - mean||^2 over all items."""
        return self.totals.centred_square / self.totals.items if self.totals and self.totals.items else self.spread


def measured(subject: Subject, known: Known, progress: Progress) -> Mapping[Table, DataFrame]:
    """The tables of figures without run_id and tokenizer_id; some read from the staging folder of the subject.

    `progress` is told of each of the parts when it is done. A part that the subject has nothing for is quick.
    """
    tables: dict[Table, DataFrame] = {}
    done = 0

    def told(part: str) -> None:
        nonlocal done
        done += 1
        progress(part, done, len(PARTS))

    rulers = scales(subject)
    told("sigma")
    counted, per_sid = _counted(subject, known, tables)
    figures = [*all_figures(counted, subject.tokenizer, rulers), *known.fidelity]
    told("use and collisions")
    figures += whole_sid_capacity(subject, per_sid, counted.buckets, rulers)
    told("capacity of SIDs")
    figures += bucket_spread(subject, per_sid, known.mean_centred_square)
    told("spread inside SIDs")
    if subject.encodes and subject.items is not None:
        shaken = perturbation(subject)
        figures += shaken.figures
        tables[CODE_CONFUSION] = shaken.confusion
        tables[ITEMS_AT_RISK] = items_at_risk(subject.sids)
    told("perturbation")
    figures += retrieval(subject)
    told("ranks")
    gains = attribute_gains(subject)
    if gains is not None:
        tables[ATTRIBUTE_GAINS] = gains
    told("attributes")
    rows = [tuple(asdict(row).values()) for row in figures]
    return {**tables, METRICS: subject.spark.createDataFrame(rows, _METRICS_DDL)}  # what is there has figures


PARTS = (
    "sigma",
    "use and collisions",
    "capacity of SIDs",
    "spread inside SIDs",
    "perturbation",
    "ranks",
    "attributes",
)
"""What `progress` is told of, in order."""


def _counted(subject: Subject, known: Known, tables: dict[Table, DataFrame]) -> tuple[Aggregates, DataFrame]:
    """What is counted of the sids table, with its tables; and what is behind every SID, see `collisions.sid_counts`."""
    sids, sizes = subject.sids, subject.codebook_sizes
    thresholds = segment_thresholds(sids)
    per_sid = subject.staging.keep(collisions.sid_counts(sids, thresholds), "per_sid")
    shorter = subject.staging.keep(aggregate.shorter_prefixes(per_sid, sizes), "prefixes")
    usage, of_segments = usage_by_segment(sids, sizes, thresholds)
    tables[CODE_USAGE] = aggregate.usage_table(subject.spark, usage)
    tables[PREFIX_USAGE] = shorter
    tables[SID_USAGE] = aggregate.top_buckets(sids, per_sid, subject.config.measure.top_buckets)
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
    return counted, per_sid
