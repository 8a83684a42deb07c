"""Expected overlap and effective capacity of whole SIDs: exact where there are few of them, else from draws."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, prod

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.arrays import F64
from drq_spark.formulas.duplicates import collision_mass
from drq_spark.formulas.overlap import effective_capacity, expected_overlaps
from drq_spark.formulas.ratios import ratio
from drq_spark.formulas.sid_overlap import estimated_overlaps
from drq_spark.measure.aggregates import BucketSums, Scale
from drq_spark.measure.capacity.sid_draws import draw_sids
from drq_spark.measure.subject import Subject
from drq_spark.metrics import EXPOSURE, ITEMS, Metric, MetricRow
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.keys import keys_to_codes
from drq_spark.vectors import codeword_sum


@dataclass(frozen=True)
class _Overlap:
    """O_pi [S] under one weighting, and its standard error [S], None where it is exact."""

    value: F64
    standard_error: F64 | None


def whole_sid_capacity(
    subject: Subject, per_sid: DataFrame, buckets: BucketSums, scales: Sequence[Scale], *, quick: bool = False
) -> list[MetricRow]:
    """Expected overlap, effective capacity, distribution and geometry of whole SIDs: level 0, by items and exposure.

    O_pi = sum_s p_s^2 + sum_{s != t} p_s p_t OVL(s, t), the first part exact; the second from about
    `measure.overlap_items` draws, with its standard error, or exact where there are not more SIDs. OVL is that of the
    last level (its weights, its sigma) at the positions of `sid_overlap.positions`.

    Args:
        subject: What is measured.
        per_sid: Rows of `sid_counts`, best from a table: they are read up to three times.
        buckets: Their sums.
        scales: As `sigma.scales` gives them.
        quick: Whether half of the draws will do, with 1.4 times the standard error: pairs are what costs.

    Without a tokenizer there are no rows, for such external SIDs have no codewords.
    """
    if subject.tokenizer is None:
        return []
    masses = {ITEMS: collision_mass(buckets.sum_squares, buckets.all.items)}
    if buckets.all.exposure and buckets.exposure_squares is not None:
        masses[EXPOSURE] = ratio(buckets.exposure_squares, buckets.all.exposure**2)
    sids = per_sid.select("sid", ITEMS, EXPOSURE)
    draws = subject.config.measure.overlap_items // (2 if quick else 1)
    apart = _Sids(subject, subject.tokenizer, [scale.sigma[-1] for scale in scales], max(1, draws))
    overlaps = _overlaps(apart, sids, buckets, masses)
    possible = prod(subject.codebook_sizes)
    rows = [row for name, mass in masses.items() for row in _rows(name, mass, possible, scales, overlaps[name])]
    return [row for row in rows if isfinite(row.value)]


@dataclass(frozen=True)
class _Sids:
    """How far SIDs are apart, the sigmas at which that is looked at, and how many are drawn of too many."""

    subject: Subject
    tokenizer: Tokenizer
    sigmas: Sequence[float]
    draws: int

    @property
    def weight(self) -> NDArray[np.float32] | None:
        """The weight of the last level."""
        return self.tokenizer.weights[-1] if self.tokenizer.weights else None

    def points(self, sid: NDArray[np.int64]) -> F64:
        """Positions [M, d] of keys [M]."""
        return codeword_sum(self.tokenizer.codebooks, keys_to_codes(sid, self.tokenizer.codebook_sizes))

    def exact(self, sids: DataFrame, weightings: Iterable[str]) -> dict[str, _Overlap]:
        """Overlaps from all pairs of these SIDs, for several weightings in one pass."""
        rows, names = sids.toArrow().sort_by("sid"), list(weightings)
        counts = [rows[name].to_numpy() for name in names]
        values = expected_overlaps(counts, self.points(rows["sid"].to_numpy()), self.sigmas, self.weight)
        return {name: _Overlap(value, None) for name, value in zip(names, values, strict=True)}

    def estimated(self, sids: DataFrame, weighting: str, total: float, mass: float) -> dict[str, _Overlap]:
        """The overlap estimated from draws, to which the exact collision mass is added."""
        drawn = draw_sids(sids, weighting, total, self.draws, self.subject.config.seed)
        rest, error = estimated_overlaps(self.points(drawn.sid), drawn.times, self.sigmas, self.weight)
        return {weighting: _Overlap(np.minimum(mass + rest, 1.0), error)}


def _overlaps(apart: _Sids, sids: DataFrame, buckets: BucketSums, masses: Mapping[str, float]) -> dict[str, _Overlap]:
    most = apart.subject.config.measure.overlap_items
    if buckets.sids <= most:
        return apart.exact(sids, masses)
    found = apart.estimated(sids, ITEMS, buckets.all.items, masses[ITEMS])
    if EXPOSURE not in masses or buckets.all.exposure is None:
        return found
    shown = sids.where(F.col(EXPOSURE) > 0)
    if shown.limit(most + 1).count() <= most:
        return found | apart.exact(shown, [EXPOSURE])
    return found | apart.estimated(shown, EXPOSURE, buckets.all.exposure, masses[EXPOSURE])


def _rows(
    weighting: str, mass: float, possible: int, scales: Sequence[Scale], overlap: _Overlap
) -> Iterator[MetricRow]:
    """K_eff = 1 / O and G = sum p^2 / O, their errors by the delta method."""
    yield MetricRow(Metric.DISTRIBUTION.value, 0, weighting, None, ratio(1.0, possible * mass))
    errors = [None] * len(scales) if overlap.standard_error is None else overlap.standard_error.tolist()
    for scale, value, error in zip(scales, overlap.value.tolist(), errors, strict=True):
        figures = {
            Metric.EXPECTED_OVERLAP: (value, 1.0),
            Metric.EFFECTIVE_CAPACITY: (effective_capacity(value), value**-2),
            Metric.GEOMETRY: (mass / value, mass * value**-2),
        }
        for metric, (figure, slope) in figures.items():
            own = None if error is None else error * slope
            yield MetricRow(metric.value, 0, weighting, scale.eta, figure, own, scale.ruler.value)
