"""Aggregated counts -> rows of the metrics table: one code for the counts of Spark and of a plain numpy reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from drq_spark.measure import formulas
from drq_spark.measure.values import LevelUsage, MetricRow, PrefixSums, Scale
from drq_spark.schemas import Metric
from drq_spark.tokenizer import Tokenizer

ITEMS, EXPOSURE = "items", "exposure"


@dataclass(frozen=True)
class Totals:
    """The row of assignment_totals, see `schemas.ASSIGNMENT_TOTALS`."""

    items: int
    squared_error: float
    cosine: float
    centred_square: float
    latent_centred_square: float
    residual_square: NDArray[np.float64]
    margin: NDArray[np.float64]
    uncertain: NDArray[np.int64]


@dataclass(frozen=True)
class Churn:
    """Changes against the published run: code changes per level [K, K] (None where not counted), and whole SIDs."""

    tables: Sequence[NDArray[np.int64] | None]
    items: int
    moved: int


@dataclass(frozen=True)
class Aggregates:
    """All that the figures of a run are made of."""

    rows_in: int
    rows_quarantined: int
    usage: Sequence[LevelUsage]
    prefixes: Sequence[PrefixSums]
    distinct_embeddings: int
    totals: Totals
    churn: Churn | None


def all_figures(aggregates: Aggregates, tokenizer: Tokenizer, scales: Sequence[Scale]) -> list[MetricRow]:
    """Every figure that counts and codebooks give, the capacity of the levels at each of the scales.

    Figures that do not exist (no variance, no exposure) have no row.
    """
    rows = [
        *_catalogue(aggregates),
        *_usage(aggregates.usage),
        *_sigmas(scales),
        *_capacity(aggregates.usage, tokenizer, scales),
        *_collisions(aggregates.prefixes[-1], aggregates.distinct_embeddings),
        *_prefixes(aggregates.prefixes),
        *_fidelity(aggregates.totals),
        *(_churn(aggregates.churn) if aggregates.churn else ()),
    ]
    return [row for row in rows if isfinite(row.value)]


def _row(
    metric: Metric, value: float, level: int = 0, weighting: str = ITEMS, scale: Scale | None = None
) -> MetricRow:
    if scale is None:
        return MetricRow(metric.value, level, weighting, None, float(value))
    return MetricRow(metric.value, level, weighting, scale.eta, float(value), ruler=scale.ruler.value)


def _catalogue(aggregates: Aggregates) -> Iterator[MetricRow]:
    yield _row(Metric.ITEMS, aggregates.totals.items)
    yield _row(Metric.QUARANTINE_RATE, formulas.share(aggregates.rows_quarantined, aggregates.rows_in))


def _weightings(usage: LevelUsage) -> dict[str, NDArray[np.int64] | NDArray[np.float64]]:
    shown = usage.exposure is not None and usage.exposure.sum() > 0
    return {ITEMS: usage.items, **({EXPOSURE: usage.exposure} if shown and usage.exposure is not None else {})}


def _usage(levels: Sequence[LevelUsage]) -> Iterator[MetricRow]:
    for level, usage in enumerate(levels, start=1):
        for weighting, counts in _weightings(usage).items():
            yield _row(Metric.UTILIZATION, formulas.utilization(counts), level, weighting)
            yield _row(Metric.DEAD_CODES, formulas.dead_codes(counts), level, weighting)
            yield _row(Metric.PERPLEXITY, formulas.perplexity(counts), level, weighting)
            yield _row(Metric.INVERSE_SIMPSON, formulas.inverse_simpson(counts), level, weighting)
            yield _row(Metric.GINI, formulas.gini(counts), level, weighting)


def _sigmas(scales: Sequence[Scale]) -> Iterator[MetricRow]:
    for scale in scales:
        errors = scale.standard_error or (None,) * len(scale.sigma)
        for level, (sigma, error) in enumerate(zip(scale.sigma, errors, strict=True), start=1):
            yield replace(_row(Metric.SIGMA, sigma, level, ITEMS, scale), standard_error=error)


def _capacity(levels: Sequence[LevelUsage], tokenizer: Tokenizer, scales: Sequence[Scale]) -> Iterator[MetricRow]:
    weights = tokenizer.weights or (None,) * tokenizer.levels
    parts = zip(levels, tokenizer.codebooks, weights, strict=True)
    for level, (usage, book, weight) in enumerate(parts, start=1):
        weightings = _weightings(usage)
        sigmas = [scale.sigma[level - 1] for scale in scales]
        overlaps = formulas.expected_overlaps(list(weightings.values()), book, sigmas, weight)
        for (weighting, counts), curve in zip(weightings.items(), overlaps, strict=True):
            yield _row(Metric.DISTRIBUTION, formulas.distribution(counts), level, weighting)
            for scale, overlap in zip(scales, curve.tolist(), strict=True):
                yield _row(Metric.EXPECTED_OVERLAP, overlap, level, weighting, scale)
                yield _row(Metric.EFFECTIVE_CAPACITY, formulas.effective_capacity(overlap), level, weighting, scale)
                yield _row(Metric.GEOMETRY, formulas.geometry(counts, overlap), level, weighting, scale)


def _collisions(sids: PrefixSums, distinct: int) -> Iterator[MetricRow]:
    yield _row(Metric.UNIQUE_SIDS, sids.occupied)
    yield _row(Metric.DUPLICATE_RATE, formulas.duplicate_rate(sids.occupied, sids.items))
    yield _row(Metric.SHARED_RATE, formulas.shared_rate(sids.shared_items, sids.items))
    yield _row(Metric.EXACT_DUPLICATE_RATE, formulas.exact_duplicate_rate(distinct, sids.items))
    yield _row(Metric.EXCESS_DUPLICATE_RATE, formulas.excess_duplicate_rate(sids.occupied, distinct, sids.items))
    yield _row(Metric.LARGEST_BUCKET, sids.largest)
    yield _row(Metric.COLLISION_MASS, formulas.collision_mass(sids.sum_squares, sids.items))
    if sids.exposure and sids.exposure_squares is not None:
        yield _row(Metric.COLLISION_MASS, formulas.share(sids.exposure_squares, sids.exposure**2), weighting=EXPOSURE)


def _prefixes(prefixes: Sequence[PrefixSums]) -> Iterator[MetricRow]:
    for level, sums in enumerate(prefixes, start=1):
        yield _row(Metric.OCCUPIED_PREFIXES, sums.occupied, level)
    entropies = {ITEMS: [formulas.entropy_from_sums(sums.items, sums.sum_n_log_n) for sums in prefixes]}
    exposed = [
        formulas.entropy_from_sums(sums.exposure, sums.exposure_log)
        for sums in prefixes
        if sums.exposure and sums.exposure_log is not None
    ]
    if len(exposed) == len(prefixes):
        entropies[EXPOSURE] = exposed
    for weighting, values in entropies.items():
        steps = formulas.conditional_entropies(values)
        for level, (whole, step) in enumerate(zip(values, steps, strict=True), start=1):
            yield _row(Metric.PREFIX_ENTROPY, whole, level, weighting)
            yield _row(Metric.CONDITIONAL_ENTROPY, step, level, weighting)


def _fidelity(totals: Totals) -> Iterator[MetricRow]:
    yield _row(Metric.RELATIVE_MSE, formulas.relative_mse(totals.squared_error, totals.centred_square))
    yield _row(Metric.MEAN_COSINE, formulas.share(totals.cosine, totals.items))
    shares = formulas.residual_share(totals.residual_square, totals.latent_centred_square)
    levels = zip(shares, totals.margin, totals.uncertain, strict=True)
    for level, (left, margin, uncertain) in enumerate(levels, start=1):
        yield _row(Metric.RESIDUAL_SHARE, left, level)
        yield _row(Metric.MEAN_MARGIN, formulas.share(margin, totals.items), level)
        yield _row(Metric.UNCERTAIN_SHARE, formulas.share(int(uncertain), totals.items), level)


def _churn(churn: Churn) -> Iterator[MetricRow]:
    yield _row(Metric.CHURN, formulas.share(churn.moved, churn.items))
    for level, table in enumerate(churn.tables, start=1):
        if table is not None:
            yield _row(Metric.CHURN, formulas.churn(table), level)
            yield _row(Metric.CHURN_MATCHED, formulas.churn_matched(table), level)
