"""Where whole SIDs stand, how much they overlap, and the figures of that: for SIDs in tables and in arrays alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, prod

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F64, I64
from drq_spark.formulas.duplicates import collision_mass
from drq_spark.formulas.overlap import effective_capacity, expected_overlaps
from drq_spark.formulas.ratios import ratio
from drq_spark.formulas.sid_overlap import estimated_overlaps
from drq_spark.formulas.usage import Counts
from drq_spark.measure.aggregates import BucketSums, Scale
from drq_spark.metrics import EXPOSURE, ITEMS, Metric, MetricRow
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.keys import keys_to_codes
from drq_spark.vectors import codeword_sum


@dataclass(frozen=True)
class SidOverlap:
    """O_pi [S] under one weighting, and its standard error [S], None where it is exact."""

    value: F64
    standard_error: F64 | None


@dataclass(frozen=True)
class SidPositions:
    """Where SIDs stand, and the scales at which it is looked at how much they overlap."""

    tokenizer: Tokenizer
    scales: Sequence[Scale]

    def exact(self, sid: I64, counts: Mapping[str, Counts]) -> dict[str, SidOverlap]:
        """Overlaps from all pairs of SIDs with keys [M], for weightings with counts [M] in one pass."""
        values = expected_overlaps(list(counts.values()), self._points(sid), self._sigmas, self._weight)
        return {name: SidOverlap(value, None) for name, value in zip(counts, values, strict=True)}

    def estimated(self, sid: I64, times: I64, mass: float) -> SidOverlap:
        """The overlap estimated from SIDs with keys [M] that were drawn so often, [M], and the exact collision mass."""
        rest, error = estimated_overlaps(self._points(sid), times, self._sigmas, self._weight)
        return SidOverlap(np.minimum(mass + rest, 1.0), error)

    def _points(self, sid: I64) -> F64:
        """Positions [M, d]."""
        return codeword_sum(self.tokenizer.codebooks, keys_to_codes(sid, self.tokenizer.codebook_sizes))

    @property
    def _sigmas(self) -> list[float]:
        """Those of the last level."""
        return [scale.sigma[-1] for scale in self.scales]

    @property
    def _weight(self) -> NDArray[np.float32] | None:
        """That of the last level."""
        return self.tokenizer.weights[-1] if self.tokenizer.weights else None


def collision_masses(buckets: BucketSums) -> dict[str, float]:
    """Weighting -> sum p^2 over the SIDs, by exposure only where items are shown at all."""
    masses = {ITEMS: collision_mass(buckets.sum_squares, buckets.all.items)}
    if buckets.all.exposure and buckets.exposure_squares is not None:
        masses[EXPOSURE] = ratio(buckets.exposure_squares, buckets.all.exposure**2)
    return masses


def capacity_of_sids(
    overlaps: Mapping[str, SidOverlap], masses: Mapping[str, float], positions: SidPositions
) -> list[MetricRow]:
    """Figures of level 0 under each weighting: D, and O, K_eff = 1 / O and G = sum p^2 / O at each of the scales."""
    possible = prod(positions.tokenizer.codebook_sizes)
    rows = [
        row
        for name, mass in masses.items()
        for row in _under_one_weighting(name, mass, possible, positions.scales, overlaps[name])
    ]
    return [row for row in rows if isfinite(row.value)]


def _under_one_weighting(
    weighting: str, mass: float, possible: int, scales: Sequence[Scale], overlap: SidOverlap
) -> Iterator[MetricRow]:
    """Errors are those of the delta method."""
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
