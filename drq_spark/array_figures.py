"""Figures of a tokenizer on the rows of an array: those of a run that need neither Spark nor events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from drq_spark.arrays import F32, F64, I32, I64, exposure_of_rows
from drq_spark.assign.assignment_worker import Assigned, assign_rows
from drq_spark.blocks import row_blocks
from drq_spark.config import Measure, load_config
from drq_spark.errors import InputRefused
from drq_spark.formulas.estimates import sample_mean
from drq_spark.formulas.ranking import chance_in_top, ties_without_self
from drq_spark.formulas.reconstruction import centred_square_sum
from drq_spark.formulas.usage import Counts
from drq_spark.measure.aggregates import BucketSums, latent_scales
from drq_spark.measure.array_counts import bucket_sums_of, prefix_sums_of, segments_of, usage_of, usage_of_segments
from drq_spark.measure.behaviour.scans_worker import Candidates, Questions, Scan, nearest_items, nearest_ties
from drq_spark.measure.capacity.sid_positions import SidOverlap, SidPositions, capacity_of_sids, collision_masses
from drq_spark.measure.figures import Aggregates, AssignmentTotals, all_figures
from drq_spark.metrics import EXPOSURE, ITEMS, Metric, MetricRow, Metrics
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.keys import keys_to_codes, place_values
from drq_spark.tokenizer.one_or_many import one_or_many
from drq_spark.vectors import unit_rows

_QUERY_STREAM = 2_000  # purpose of the draw of items whose neighbours are looked for
_DRAW_STREAM = 2_001  # purpose of the draws of SIDs
_BLOCK_ROWS = 512  # few, so that soon only rows near a query are kept
_RECALL = {20: Metric.NEIGHBOUR_RECALL_20, 200: Metric.NEIGHBOUR_RECALL_200}


def figures(
    tokenizer: Tokenizer,
    x: ArrayLike,
    *,
    exposure: ArrayLike | None = None,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> Metrics:
    """Give the rows of an array their SIDs, and measure them by the formulas of a run; nothing needs Spark.

    >>> found = drq_spark.figures(tokenizer, x)  # doctest: +SKIP
    >>> found.metric("relative_mse"), found.metric("perplexity", level=1)  # doctest: +SKIP
    >>> found.metric("effective_capacity", level=1, eta=0.5), pandas.DataFrame(found.rows)  # doctest: +SKIP

    There is everything that counts, codebooks and reconstructions tell: use of codes, capacity of each level and of
    whole SIDs, collisions, entropies of prefixes, errors and margins, neighbours kept; with exposure also by exposure
    and for head, torso and tail. Names and formulas are those of docs/figures.md. It takes scipy, which the extras
    `train` and `report` bring.

    Args:
        tokenizer: What encodes.
        x: Embeddings [n, D], all usable: an array, lists, a data frame of numbers.
        exposure: [n], how often each item is shown.
        seed: Of the items whose neighbours are looked for, and of the SIDs that are drawn of too many.
        settings: `measure.etas`, `measure.neighbour_queries` and `measure.overlap_items`, where they should differ from
            `conf/base.yaml`.

    Raises:
        InputRefused: x is no matrix with rows, or exposure is not a number from 0 for each of them.
        ValueError: rows that the tokenizer does not take, see `Tokenizer.prepare_input`.
        ConfigError: a setting that is none.
    """
    measure = load_config(options=settings or {}).measure
    rows = _matrix(x)
    shown = exposure_of_rows(exposure, len(rows))
    found, scales = assign_rows(rows, tokenizer), latent_scales(tokenizer, measure)
    counted = _counted(tokenizer, rows, found, shown)
    whole = _capacity_of_sids(SidPositions(tokenizer, scales), found.sid, shown, counted.buckets, measure, seed)
    queries = np.random.default_rng((seed, _QUERY_STREAM)).permutation(len(rows))[: measure.neighbour_queries]
    neighbours = _neighbour_recall(tokenizer, tokenizer.prepare_input(rows), found.sid, np.sort(queries))
    return Metrics([*all_figures(counted, tokenizer, scales), *whole, *neighbours])


def _matrix(x: ArrayLike) -> F32:
    """float32 [n, D].

    Raises:
        InputRefused: something else.
    """
    array, one = one_or_many(x, "embeddings")
    if one or array.ndim != 2 or not array.size:
        shape = array.shape[1:] if one else array.shape
        raise InputRefused(f"x must be a matrix with a row for each item, not an array of shape {shape}")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, np.float32)


def _counted(tokenizer: Tokenizer, x: F32, found: Assigned, exposure: F64 | None) -> Aggregates:
    """All that counts tell of rows x [n, D], their SIDs and exposure [n]."""
    sizes = tokenizer.codebook_sizes
    thresholds, segment = segments_of(exposure)
    return Aggregates(
        rows_in=len(x),
        rows_quarantined=0,
        usage=usage_of(found.codes, exposure, sizes),
        prefixes=[prefix_sums_of(found.sid // value, exposure) for value in place_values(sizes)],
        buckets=bucket_sums_of(found.sid, x, exposure, segment),
        segments=usage_of_segments(found.codes, thresholds, segment, sizes),
        totals=_totals(found),
        churn=None,
    )


def _capacity_of_sids(
    positions: SidPositions, sid: I64, exposure: F64 | None, buckets: BucketSums, measure: Measure, seed: int
) -> list[MetricRow]:
    """The capacity of whole SIDs: exact, or from as many draws as `measure.overlap_items` where there are more SIDs."""
    keys, bucket, items = np.unique(sid, return_inverse=True, return_counts=True)
    counts: dict[str, Counts] = {ITEMS: items}
    if exposure is not None:
        counts[EXPOSURE] = np.bincount(bucket.ravel(), exposure)
    masses = collision_masses(buckets)
    if len(keys) <= measure.overlap_items:
        overlaps = positions.exact(keys, {name: counts[name] for name in masses})
    else:
        streams = enumerate(masses.items())
        overlaps = {
            name: _overlap_of_many(positions, keys, counts[name], mass, measure.overlap_items, (seed, _DRAW_STREAM, n))
            for n, (name, mass) in streams
        }
    return capacity_of_sids(overlaps, masses, positions)


def _overlap_of_many(
    positions: SidPositions, keys: I64, counts: Counts, mass: float, most: int, seed: tuple[int, ...]
) -> SidOverlap:
    """The overlap of SIDs with keys [M] and counts [M], drawn; exact where few of them have counts."""
    used = counts > 0
    if used.sum() <= most:
        return positions.exact(keys[used], {"": counts[used]})[""]
    times = np.random.default_rng(seed).poisson(most * counts / counts.sum())
    return positions.estimated(keys[times > 0], times[times > 0], mass)


def _totals(found: Assigned) -> AssignmentTotals:
    """Squares about the tokenizer's anchor become squares about the exact mean."""
    sums = found.totals
    return AssignmentTotals(
        items=sums.items,
        squared_error=sums.squared_error,
        cosine=sums.cosine,
        centred_square=centred_square_sum(sums.square, sums.offset, sums.items),
        latent_centred_square=centred_square_sum(sums.latent_square, sums.latent_offset, sums.items),
        residual_square=sums.residual_square,
        margin=sums.margin,
        uncertain=sums.uncertain,
    )


def _neighbour_recall(tokenizer: Tokenizer, x: F32, sid: I64, queries: I64) -> Iterator[MetricRow]:
    """What the SIDs of prepared rows x [n, D] keep of the nearest items of some rows.

    It compares x with all queries, and then the reconstruction of each SID, block by block.
    """
    keys, items = np.unique(sid, return_counts=True)
    codes = keys_to_codes(keys, tokenizer.codebook_sizes)
    own = _rebuilt(tokenizer, codes[np.searchsorted(keys, sid[queries])])
    nearest = _nearest(x, queries)
    tied = _ties(tokenizer, codes, items, own)
    scores = []
    for place, query in enumerate(queries):
        neighbours = nearest[place][nearest[place] != query][: max(_RECALL)]
        among = _rebuilt(tokenizer, codes[np.searchsorted(keys, sid[neighbours])])
        scores.append(among @ own[place])
    for k, metric in _RECALL.items():
        if len(x) > k:
            kept = [chance_in_top(of[:k], *ties, k).sum() / k for of, ties in zip(scores, tied, strict=True)]
            estimate = sample_mean(np.array(kept), len(x))
            error = estimate.error if isfinite(estimate.error) else None
            yield MetricRow(metric.value, 0, ITEMS, None, estimate.value, error)


def _rebuilt(tokenizer: Tokenizer, codes: I32) -> F64:
    """Directions of reconstructions."""
    return unit_rows(tokenizer.decode(codes))


def _nearest(x: F32, queries: I64) -> list[I64]:
    """Rows that are nearest to each query, the best first, the query among them."""
    candidates = Candidates(len(queries), nearest_items)
    scan = _scan(unit_rows(x[queries]), candidates)
    for block in row_blocks(len(x), 1, _BLOCK_ROWS):
        rows = pa.array(np.arange(len(x))[block])
        scan.add(unit_rows(x[block]), np.ones(len(rows)), {"key": rows, "item_id": rows})
    found = candidates.lists()
    assert found is not None  # there is a row, and it is a candidate
    return [np.asarray(row.values.to_numpy()) for row in found["item_id"].combine_chunks()]


def _ties(tokenizer: Tokenizer, codes: I32, items: I64, own: F64) -> list[tuple[F64, F64]]:
    """Scores and numbers of items of each query's best ties by reconstructions, the best first, itself left out."""
    candidates = Candidates(len(own), nearest_ties)
    scan = _scan(own, candidates)
    weight = items.astype(np.float64)
    for block in row_blocks(len(codes), 1, _BLOCK_ROWS):
        scan.add(_rebuilt(tokenizer, codes[block]), weight[block], {"weight": pa.array(weight[block])})
    found = candidates.lists()
    assert found is not None
    scores, weights = (found[name].combine_chunks() for name in ("score", "weight"))
    return [
        (of.values.to_numpy(), ties_without_self(many.values.to_numpy()))
        for of, many in zip(scores, weights, strict=True)
    ]


def _scan(queries: F64, candidates: Candidates) -> Scan:
    none = np.empty((0, queries.shape[1]))
    return Scan(Questions(none, np.empty(0), queries), 0, candidates)
