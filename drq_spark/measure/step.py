"""Everything that is measured of a `Subject`: the one place where figures and their tables are collected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from drq_spark.idle_threads import products_by_one_thread
from drq_spark.measure.aggregates import Scale, Segments, Thresholds
from drq_spark.measure.behaviour.event_figures import event_figures
from drq_spark.measure.behaviour.judged import Chosen, choose
from drq_spark.measure.behaviour.retrieval import judges, retrieval
from drq_spark.measure.capacity.sid_capacity import whole_sid_capacity
from drq_spark.measure.capacity.sigma import items_of_scales, scales
from drq_spark.measure.collisions.bucket_spread import SharedSids, bucket_spread, members_of, shared_sids
from drq_spark.measure.collisions.largest_sids import largest_sids
from drq_spark.measure.collisions.moved_apart import moved_apart
from drq_spark.measure.collisions.sid_counts import bucket_sums, sid_counts
from drq_spark.measure.figures import Aggregates, AssignmentTotals, Churn, all_figures
from drq_spark.measure.foreseen import most_drawn
from drq_spark.measure.information.attribute_gains import attribute_gains
from drq_spark.measure.information.prefix_usage import prefix_sums, shorter_prefixes
from drq_spark.measure.perturbation.flips import perturbation, perturbed_items, share_of_items
from drq_spark.measure.perturbation.items_at_risk import items_at_risk
from drq_spark.measure.picked_items import has_picked, with_picked
from drq_spark.measure.subject import Subject
from drq_spark.measure.usage.code_usage import usage_table
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

Keep = Callable[[Table, DataFrame], DataFrame]
"""Writes rows (which need not say which run they are of) into a table, and gives them as they are read from there."""


@dataclass(frozen=True)
class Known:
    """What is known of a subject before it is measured; see `figures.Aggregates`.

    Attributes:
        rows_in: Rows of the input.
        rows_quarantined: Those of them without a SID.
        totals: Sums over all items; None for external SIDs.
        churn: Changes against the run that readers follow; None where there is nothing to compare with.
        usage_at_training: Items of each code when the tokenizer was trained, int64 [K] a level; None where that is now,
            or not known.
        fidelity: Figures of the reconstruction, where there are no totals to make them of.
        sample_mean_square: Mean of ||x - mean||^2 over a sample of the items, where there are no totals; None where
            embeddings are not known.
    """

    rows_in: int
    rows_quarantined: int
    totals: AssignmentTotals | None = None
    churn: Churn | None = None
    usage_at_training: Sequence[NDArray[np.int64]] | None = None
    fidelity: Sequence[MetricRow] = ()
    sample_mean_square: float | None = None

    @property
    def mean_centred_square(self) -> float | None:
        """Mean of ||x - mean||^2 over all items."""
        if self.totals and self.totals.items:
            return self.totals.centred_square / self.totals.items
        return self.sample_mean_square


def measured(subject: Subject, known: Known, progress: Progress, keep: Keep, *, quick: bool = False) -> None:
    """Write all figures into their tables; that of the figures themselves comes last, so that what has them is whole.

    `progress` is told of each of the parts when it is done. A part that the subject has nothing for is quick; `quick`
    leaves out those that look at many embeddings, and draws fewer pairs of SIDs.
    """
    work = _Work(subject, known, keep, quick)
    parts = [part for part in _PARTS if part[0] in _QUICK or not quick]
    with products_by_one_thread():
        for done, (name, part) in enumerate(parts, start=1):
            part(work)
            progress(name, done, len(parts))
    rows = [tuple(asdict(row).values()) for row in work.figures]
    keep(METRICS, subject.spark.createDataFrame(rows, _METRICS_DDL))


class _Work:
    """What has been measured so far; every part adds its figures and its tables."""

    scales: list[Scale]
    counted: Aggregates
    thresholds: Thresholds | None
    per_sid: DataFrame
    judged: Chosen | None = None
    shared: SharedSids | None = None
    members: DataFrame | None = None  # sid, embedding of the chosen items of shared SIDs

    def __init__(self, subject: Subject, known: Known, keep: Keep, quick: bool) -> None:
        self.subject, self.known, self.keep, self.quick = subject, known, keep, quick
        self.figures: list[MetricRow] = []

    def each_sid(self) -> None:
        """Count what is behind every SID, which serves several later parts."""
        self.thresholds = segment_thresholds(self.subject.sids)
        self.per_sid = self.subject.staging.keep(sid_counts(self.subject.sids, self.thresholds), "per_sid")

    def draw(self) -> None:
        """Draw the items of all later parts; their embeddings are at hand, or read in one pass for all.

        Which items stand for shared SIDs is not known before there are SIDs: the scan that ranks brings their
        embeddings along, where there is one and they are not picked out here.
        """
        subject, config = self.subject, self.subject.config
        if subject.items is None:
            return
        self.shared = shared_sids(subject, self.per_sid)
        few = self.known.rows_in <= 2 * most_drawn(config, pairs=subject.pairs is not None)
        if few and subject.picked is None:
            return
        chosen = items_of_scales(subject)
        if subject.encodes:
            chosen.append(perturbed_items(subject, share_of_items(subject)))
        if judges(subject):
            self.judged = choose(subject)
            chosen.append(self.judged.ids(subject))
        if has_picked(subject, chosen):
            return
        if self.shared is not None:
            chosen.append(self.shared.members)
        if not chosen:
            return
        self.subject = with_picked(subject, chosen)
        if self.shared is not None and self.subject.drawn_from is not None:
            self.members = members_of(self.subject.drawn_from, self.shared)

    def sigma(self) -> None:
        """Measure what every later part takes for noise."""
        self.scales = scales(self.subject)

    def use_and_collisions(self) -> None:
        """Count everything that the sids table tells."""
        subject, sizes, thresholds = self.subject, self.subject.codebook_sizes, self.thresholds
        usage, of_segments = usage_by_segment(subject.sids, sizes, thresholds)
        self.keep(CODE_USAGE, usage_table(subject.spark, usage))
        shorter = self.keep(PREFIX_USAGE, shorter_prefixes(self.per_sid, sizes))
        self.keep(SID_USAGE, largest_sids(subject.sids, self.per_sid, subject.config.measure.top_buckets))
        self.counted = Aggregates(
            rows_in=self.known.rows_in,
            rows_quarantined=self.known.rows_quarantined,
            usage=usage,
            prefixes=prefix_sums(shorter, self.per_sid, subject.levels),
            buckets=bucket_sums(subject, self.per_sid),
            segments=None if thresholds is None else Segments(thresholds, of_segments),
            totals=self.known.totals,
            churn=self.known.churn,
            usage_at_training=self.known.usage_at_training,
        )
        self.figures += [*all_figures(self.counted, subject.tokenizer, self.scales), *self.known.fidelity]
        self.figures += moved_apart(subject, self.per_sid)

    def capacity(self) -> None:
        """Measure the capacity of whole SIDs."""
        buckets = self.counted.buckets
        self.figures += whole_sid_capacity(self.subject, self.per_sid, buckets, self.scales, quick=self.quick)

    def spread(self) -> None:
        """Measure how far apart the items of a SID lie."""
        if self.shared is None or self.subject.items is None:
            return
        vectors = members_of(self.subject.items, self.shared) if self.members is None else self.members
        self.figures += bucket_spread(self.subject, self.shared, vectors, self.known.mean_centred_square)

    def perturbation(self) -> None:
        """Count which codes flip under noise, and find the items that are the likeliest to."""
        if not self.subject.encodes or self.subject.items is None:
            return
        found = perturbation(self.subject)
        self.figures += found.figures
        self.keep(CODE_CONFUSION, found.confusion)
        self.keep(ITEMS_AT_RISK, items_at_risk(self.subject.sids))

    def events(self) -> None:
        """Tell what has become of the events."""
        self.figures += event_figures(self.subject.account)

    def ranks(self) -> None:
        """Measure neighbours, and what users do."""
        wanted = self.shared.members if self.shared is not None and self.members is None else None
        found = retrieval(self.subject, self.judged, wanted)
        self.figures += found.figures
        self.members = found.vectors if self.members is None else self.members

    def attributes(self) -> None:
        """Measure what attributes tell of the codes."""
        gains = attribute_gains(self.subject)
        if gains is not None:
            self.keep(ATTRIBUTE_GAINS, gains)


_PARTS: Sequence[tuple[str, Callable[[_Work], None]]] = (
    ("SIDs", _Work.each_sid),
    ("drawn items", _Work.draw),
    ("sigma", _Work.sigma),
    ("use and collisions", _Work.use_and_collisions),
    ("capacity of SIDs", _Work.capacity),
    ("perturbation", _Work.perturbation),
    ("events", _Work.events),
    ("ranks", _Work.ranks),
    ("spread inside SIDs", _Work.spread),
    ("attributes", _Work.attributes),
)
_QUICK = {"SIDs", "sigma", "use and collisions", "capacity of SIDs", "events"}
