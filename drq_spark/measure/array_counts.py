"""What figures are made of, counted in arrays as `measure` counts it in tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from drq_spark.arrays import F32, F64, I32, I64
from drq_spark.formulas.duplicates import different_rows
from drq_spark.formulas.usage import LevelUsage, exposure_groups, segment_thresholds
from drq_spark.measure.aggregates import BucketSums, Mass, PrefixSums, Segments, SegmentSums, Thresholds

_SEGMENTS = ("head", "torso", "tail")


def usage_of(codes: I32, exposure: F64 | None, codebook_sizes: Sequence[int]) -> list[LevelUsage]:
    """Use of the codes of every level by items with codes [n, L] and exposure [n]."""
    return [
        LevelUsage(
            np.bincount(column, minlength=size),
            None if exposure is None else np.bincount(column, exposure, size).astype(np.float64),
        )
        for column, size in zip(codes.T, codebook_sizes, strict=True)
    ]


def prefix_sums_of(keys: I64, exposure: F64 | None) -> PrefixSums:
    """Sums over the prefixes with these keys [n], one an item, with exposure [n]."""
    _, prefix, items = np.unique(keys, return_inverse=True, return_counts=True)
    total, logs = None, None
    if exposure is not None:
        shown = np.bincount(prefix.ravel(), exposure)
        total, logs = float(shown.sum()), float(xlogy(shown, shown).sum())
    return PrefixSums(len(items), len(keys), float(xlogy(items, items).sum()), total, logs)


def segments_of(exposure: F64 | None) -> tuple[Thresholds | None, NDArray[np.int64] | None]:
    """Thresholds, and the place of each item's segment in head, torso, tail, [n]; None for both without exposure."""
    found = None if exposure is None else segment_thresholds(*exposure_groups(exposure))
    if exposure is None or found is None:
        return None, None
    thresholds = Thresholds(*found)
    torso = exposure < thresholds.head
    tail = torso if thresholds.torso is None else exposure < thresholds.torso
    return thresholds, torso.astype(np.int64) + tail


def usage_of_segments(
    codes: I32, thresholds: Thresholds | None, segment: NDArray[np.int64] | None, codebook_sizes: Sequence[int]
) -> Segments | None:
    """Use of the codes by the items of each segment, as `segments_of` gives them; None without segments."""
    if thresholds is None or segment is None:
        return None
    usage = {name: usage_of(codes[segment == place], None, codebook_sizes) for place, name in enumerate(_SEGMENTS)}
    return Segments(thresholds, usage)


def bucket_sums_of(sid: I64, x: F32, exposure: F64 | None, segment: NDArray[np.int64] | None) -> BucketSums:
    """Sums over the SIDs, keys [n], of raw rows x [n, D] with exposure [n] and places of segments [n]."""
    _, bucket, items = np.unique(sid, return_inverse=True, return_counts=True)
    bucket = bucket.ravel()
    first, _ = different_rows(x + np.float32(0))  # as for Spark, -0.0 is 0.0
    embeddings = np.bincount(bucket[first], minlength=len(items))  # equal embeddings have one SID
    shown = None if exposure is None else np.bincount(bucket, exposure)
    shared = items > 1
    harmful = shared & (embeddings > 1)

    def within(group: Any) -> Mass:
        return Mass(int(items[group].sum()), None if shown is None else float(shown[group].sum()))

    def of_segment(place: int) -> SegmentSums:
        here = bucket[segment == place]
        return SegmentSums(len(here), int(shared[here].sum()), int(harmful[here].sum()))

    return BucketSums(
        sids=len(items),
        all=within(...),
        largest=int(items.max()),
        sum_squares=int(np.square(items).sum()),
        exposure_squares=None if shown is None else float(np.square(shown).sum()),
        shared=within(shared),
        harmful=within(harmful),
        duplicates=within(shared & (embeddings == 1)),
        distinct_embeddings=len(first),
        segments={} if segment is None else {name: of_segment(place) for place, name in enumerate(_SEGMENTS)},
    )
