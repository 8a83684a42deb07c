"""Makes rows of the metrics table from aggregated counts, those of Spark and those of a plain numpy reference alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from drq_spark.formulas import renaming
from drq_spark.formulas.divergence import jensen_shannon
from drq_spark.formulas.duplicates import collision_mass, duplicate_rate, exact_duplicate_rate, excess_duplicate_rate
from drq_spark.formulas.entropy import conditional_entropies, entropy_from_sums
from drq_spark.formulas.overlap import effective_capacity, expected_overlaps, geometry
from drq_spark.formulas.ratios import ratio
from drq_spark.formulas.reconstruction import relative_mse, residual_share
from drq_spark.formulas.renaming import churn_matched
from drq_spark.formulas.usage import (
    LevelUsage,
    dead_codes,
    distribution,
    gini,
    inverse_simpson,
    perplexity,
    utilization,
)
from drq_spark.measure.aggregates import BucketSums, Mass, PrefixSums, Scale, Segments, SegmentSums
from drq_spark.metrics import EXPOSURE, ITEMS, Metric, MetricRow
from drq_spark.tokenizer import Tokenizer


@dataclass(frozen=True)
class AssignmentTotals:
    """The row of assignment_totals, see `schemas.ASSIGNMENT_TOTALS`."""

    items: int
    squared_error: float
    cosine: float
    centred_square: float
    latent_centred_square: float
    residual_square: NDArray[np.float64]
    margin: NDArray[np.float64]
    uncertain: NDArray[np.int64]
    encoded_squared_error: float | None = None


@dataclass(frozen=True)
class Churn:
    """Changes against the published run: code changes per level [K, K] (None where not counted), and whole SIDs."""

    tables: Sequence[NDArray[np.int64] | None]
    items: int
    moved: int


@dataclass(frozen=True)
class Aggregates:
    """All that the figures of a run are made of.

    Attributes:
        rows_in: Rows of the input.
        rows_quarantined: Those of them without a SID.
        usage: Use of the codes of every level.
        prefixes: Sums over the prefixes of every length.
        buckets: Sums over the different SIDs.
        segments: Head, torso and tail; None without exposure.
        totals: Sums over the assigned items; None for external SIDs.
        churn: Changes against the published run; None where there is nothing to compare with.
        usage_at_training: See `step.Known`.
    """

    rows_in: int
    rows_quarantined: int
    usage: Sequence[LevelUsage]
    prefixes: Sequence[PrefixSums]
    buckets: BucketSums
    segments: Segments | None
    totals: AssignmentTotals | None
    churn: Churn | None
    usage_at_training: Sequence[NDArray[np.int64]] | None = None


def all_figures(aggregates: Aggregates, tokenizer: Tokenizer | None, scales: Sequence[Scale]) -> list[MetricRow]:
    """Every figure that counts and codebooks give, the capacity of the levels at each of the scales.

    Figures that do not exist (no variance, no exposure, no codebooks) have no row.
    """
    rows = [
        *_catalogue(aggregates),
        *_usage(aggregates.usage),
        *_sigmas(scales),
        *_capacity(aggregates.usage, tokenizer, scales),
        *_collisions(aggregates.buckets),
        *(_segments(aggregates.segments, aggregates.buckets.segments) if aggregates.segments else ()),
        *_prefixes(aggregates.prefixes),
        *(_fidelity(aggregates.totals) if aggregates.totals else ()),
        *_unseen(tokenizer),
        *(_churn(aggregates.churn) if aggregates.churn else ()),
        *_drift(aggregates.usage_at_training or (), aggregates.usage),
    ]
    return [row for row in rows if isfinite(row.value)]


def _row(metric: Metric, value: float, level: int = 0, weighting: str = ITEMS, scale: Scale | None = None) -> MetricRow:
    if scale is None:
        return MetricRow(metric.value, level, weighting, None, float(value))
    return MetricRow(metric.value, level, weighting, scale.eta, float(value), ruler=scale.ruler.value)


def _catalogue(aggregates: Aggregates) -> Iterator[MetricRow]:
    yield _row(Metric.ITEMS, aggregates.prefixes[-1].items)
    yield _row(Metric.QUARANTINE_RATE, ratio(aggregates.rows_quarantined, aggregates.rows_in))


def _weightings(usage: LevelUsage) -> dict[str, NDArray[np.int64] | NDArray[np.float64]]:
    shown = usage.exposure is not None and usage.exposure.sum() > 0
    return {ITEMS: usage.items, **({EXPOSURE: usage.exposure} if shown and usage.exposure is not None else {})}


def _usage(levels: Sequence[LevelUsage]) -> Iterator[MetricRow]:
    for level, usage in enumerate(levels, start=1):
        for weighting, counts in _weightings(usage).items():
            yield from _usage_of_level(counts, level, weighting)


def _usage_of_level(counts: NDArray[np.int64] | NDArray[np.float64], level: int, weighting: str) -> Iterator[MetricRow]:
    yield _row(Metric.UTILIZATION, utilization(counts), level, weighting)
    yield _row(Metric.DEAD_CODES, dead_codes(counts), level, weighting)
    yield _row(Metric.PERPLEXITY, perplexity(counts), level, weighting)
    yield _row(Metric.INVERSE_SIMPSON, inverse_simpson(counts), level, weighting)
    yield _row(Metric.GINI, gini(counts), level, weighting)


def _sigmas(scales: Sequence[Scale]) -> Iterator[MetricRow]:
    for scale in scales:
        errors = scale.standard_error or (None,) * len(scale.sigma)
        for level, (sigma, error) in enumerate(zip(scale.sigma, errors, strict=True), start=1):
            yield replace(_row(Metric.SIGMA, sigma, level, ITEMS, scale), standard_error=error)


def _capacity(
    levels: Sequence[LevelUsage], tokenizer: Tokenizer | None, scales: Sequence[Scale]
) -> Iterator[MetricRow]:
    """What is left of K: by use on every level, and the capacity curve where the codewords are known."""
    for level, usage in enumerate(levels, start=1):
        for weighting, counts in _weightings(usage).items():
            yield _row(Metric.DISTRIBUTION, distribution(counts), level, weighting)
    if tokenizer is not None:
        yield from _curve(levels, tokenizer, scales)


def _curve(levels: Sequence[LevelUsage], tokenizer: Tokenizer, scales: Sequence[Scale]) -> Iterator[MetricRow]:
    weights = tokenizer.weights or (None,) * tokenizer.levels
    prices = tokenizer.prices or (None,) * tokenizer.levels
    parts = zip(levels, tokenizer.codebooks, weights, prices, strict=True)
    for level, (usage, book, weight, price) in enumerate(parts, start=1):
        weightings = _weightings(usage)
        sigmas = [scale.sigma[level - 1] for scale in scales]
        overlaps = expected_overlaps(list(weightings.values()), book, sigmas, weight)
        for (weighting, counts), curve in zip(weightings.items(), overlaps, strict=True):
            for scale, overlap in zip(scales, curve.tolist(), strict=True):
                yield _row(Metric.EXPECTED_OVERLAP, overlap, level, weighting, scale)
                yield _row(Metric.EFFECTIVE_CAPACITY, effective_capacity(overlap), level, weighting, scale)
                yield _row(Metric.GEOMETRY, geometry(counts, overlap), level, weighting, scale)
        if price is not None:
            overlaps = expected_overlaps(list(weightings.values()), book, sigmas, weight, price)
            for weighting, curve in zip(weightings, overlaps, strict=True):
                for scale, overlap in zip(scales, curve.tolist(), strict=True):
                    yield _row(Metric.PRICED_OVERLAP, overlap, level, weighting, scale)


def _collisions(buckets: BucketSums) -> Iterator[MetricRow]:
    items = buckets.all.items
    yield _row(Metric.UNIQUE_SIDS, buckets.sids)
    yield _row(Metric.DUPLICATE_RATE, duplicate_rate(buckets.sids, items))
    yield _row(Metric.LARGEST_BUCKET, buckets.largest)
    yield _row(Metric.COLLISION_MASS, collision_mass(buckets.sum_squares, items))
    if buckets.all.exposure and buckets.exposure_squares is not None:
        mass = ratio(buckets.exposure_squares, buckets.all.exposure**2)
        yield _row(Metric.COLLISION_MASS, mass, weighting=EXPOSURE)
    if buckets.distinct_embeddings is not None:
        distinct = buckets.distinct_embeddings
        yield _row(Metric.EXACT_DUPLICATE_RATE, exact_duplicate_rate(distinct, items))
        yield _row(Metric.EXCESS_DUPLICATE_RATE, excess_duplicate_rate(buckets.sids, distinct, items))
    parts = {
        Metric.SHARED_RATE: buckets.shared,
        Metric.HARMFUL_SHARED_RATE: buckets.harmful,
        Metric.EXACT_DUPLICATE_BUCKET_RATE: buckets.duplicates,
    }
    for metric, part in parts.items():
        yield from _shares_of(buckets.all, metric, part)


def _shares_of(whole: Mass, metric: Metric, part: Mass | None) -> Iterator[MetricRow]:
    """A part of the items as share of all, by items and by exposure."""
    if part is None:
        return
    yield _row(metric, ratio(part.items, whole.items))
    if whole.exposure and part.exposure is not None:
        yield _row(metric, ratio(part.exposure, whole.exposure), weighting=EXPOSURE)


def _segments(segments: Segments, sums: Mapping[str, SegmentSums]) -> Iterator[MetricRow]:
    """Figures of head, torso and tail; a segment without items has its number of items alone."""
    for name, threshold in asdict(segments.thresholds).items():
        if threshold is not None:
            yield _row(Metric.SEGMENT_THRESHOLD, threshold, weighting=name)
    for name, found in sums.items():
        yield _row(Metric.ITEMS, found.items, weighting=name)
        if not found.items:
            continue
        for level, usage in enumerate(segments.usage[name], start=1):
            yield from _usage_of_level(usage.items, level, name)
        yield _row(Metric.SHARED_RATE, ratio(found.shared, found.items), weighting=name)
        if found.harmful is not None:
            yield _row(Metric.HARMFUL_SHARED_RATE, ratio(found.harmful, found.items), weighting=name)


def _prefixes(prefixes: Sequence[PrefixSums]) -> Iterator[MetricRow]:
    for level, sums in enumerate(prefixes, start=1):
        yield _row(Metric.OCCUPIED_PREFIXES, sums.occupied, level)
    entropies = {ITEMS: [entropy_from_sums(sums.items, sums.sum_n_log_n) for sums in prefixes]}
    exposed = [
        entropy_from_sums(sums.exposure, sums.exposure_log)
        for sums in prefixes
        if sums.exposure and sums.exposure_log is not None
    ]
    if len(exposed) == len(prefixes):
        entropies[EXPOSURE] = exposed
    for weighting, values in entropies.items():
        steps = conditional_entropies(values)
        for level, (whole, step) in enumerate(zip(values, steps, strict=True), start=1):
            yield _row(Metric.PREFIX_ENTROPY, whole, level, weighting)
            yield _row(Metric.CONDITIONAL_ENTROPY, step, level, weighting)


def _fidelity(totals: AssignmentTotals) -> Iterator[MetricRow]:
    yield _row(Metric.RELATIVE_MSE, relative_mse(totals.squared_error, totals.centred_square))
    if totals.encoded_squared_error is not None:
        yield _row(Metric.RELATIVE_MSE_ENCODED, relative_mse(totals.encoded_squared_error, totals.centred_square))
    yield _row(Metric.MEAN_COSINE, ratio(totals.cosine, totals.items))
    shares = residual_share(totals.residual_square, totals.latent_centred_square)
    levels = zip(shares, totals.margin, totals.uncertain, strict=True)
    for level, (left, margin, uncertain) in enumerate(levels, start=1):
        yield _row(Metric.RESIDUAL_SHARE, left, level)
        yield _row(Metric.MEAN_MARGIN, ratio(margin, totals.items), level)
        yield _row(Metric.UNCERTAIN_SHARE, ratio(int(uncertain), totals.items), level)


def _unseen(tokenizer: Tokenizer | None) -> Iterator[MetricRow]:
    """What the last level leaves of items that training kept out of its fit, as it found."""
    levels = tokenizer.training.get("levels", {}).get("held_out", []) if tokenizer else []
    if levels:
        yield _row(Metric.RESIDUAL_SHARE_UNSEEN, float(levels[-1]["relative_mse"]))


def _churn(churn: Churn) -> Iterator[MetricRow]:
    yield _row(Metric.CHURN, ratio(churn.moved, churn.items))
    for level, table in enumerate(churn.tables, start=1):
        if table is not None:
            yield _row(Metric.CHURN, renaming.churn(table), level)
            yield _row(Metric.CHURN_MATCHED, churn_matched(table), level)


def _drift(before: Sequence[NDArray[np.int64]], now: Sequence[LevelUsage]) -> Iterator[MetricRow]:
    for level, (counts, usage) in enumerate(zip(before, now, strict=False), start=1):
        yield _row(Metric.CODE_DRIFT, jensen_shannon(counts, usage.items), level)
