"""The figures of a run from its counts, on a catalogue of eight items that can be checked by hand.

Two levels of two codes, codewords 0 and 4, then 0 and 1, on one coordinate. Items by SID: (0,0) 4, (0,1) 2, (1,0) 2,
(1,1) none. Exposure by SID: 1, 3, 4, 0.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from drq_spark.config import Measure
from drq_spark.formulas.usage import LevelUsage
from drq_spark.measure.aggregates import (
    BucketSums,
    Mass,
    PrefixSums,
    Scale,
    Segments,
    SegmentSums,
    Thresholds,
    latent_scales,
)
from drq_spark.measure.figures import Aggregates, AssignmentTotals, Churn, all_figures
from drq_spark.metrics import Metric, MetricRow, Ruler
from drq_spark.tokenizer import Tokenizer

OTHERWISE = {
    "perplexity", "prefix_entropy", "conditional_entropy", "expected_overlap", "effective_capacity", "geometry",
    "segment_threshold", "sigma",
}  # fmt: skip
"""Figures of every run with exposure that have tests of their own below."""

SETTINGS = Measure(etas=(0.5, 2.0), headline_eta=0.5)
TOKENIZER = Tokenizer(
    "t", 1, "none", (np.array([[0], [4]], np.float32), np.array([[0], [1]], np.float32)), latent_rms=(2.0, 2.0)
)


def sums(counts: list[int], exposure: list[float] | None) -> PrefixSums:
    """What the group-by gives for the occupied prefixes."""
    shown = exposure is not None
    return PrefixSums(
        occupied=len(counts),
        items=sum(counts),
        sum_n_log_n=sum(n * math.log(n) for n in counts),
        exposure=sum(exposure) if shown else None,
        exposure_log=sum(e * math.log(e) for e in exposure if e) if shown else None,
    )


def buckets(counts: list[int], exposure: list[float] | None, embeddings: list[int]) -> BucketSums:
    """What the group-by by SID gives; of the segments the head is the last SID, the torso empty."""

    def mass(chosen: list[bool]) -> Mass:
        shown = None if exposure is None else sum(e for e, here in zip(exposure, chosen, strict=True) if here)
        return Mass(sum(n for n, here in zip(counts, chosen, strict=True) if here), shown)

    shared = [n > 1 for n in counts]
    return BucketSums(
        sids=len(counts),
        all=mass([True] * len(counts)),
        largest=max(counts),
        sum_squares=sum(n * n for n in counts),
        exposure_squares=None if exposure is None else sum(e * e for e in exposure),
        shared=mass(shared),
        harmful=mass([m > 1 for m in embeddings]),
        duplicates=mass([n > 1 and m == 1 for n, m in zip(counts, embeddings, strict=True)]),
        distinct_embeddings=sum(embeddings),
        segments={"head": SegmentSums(2, 2, 0), "torso": SegmentSums(0, 0, 0), "tail": SegmentSums(6, 6, 4)},
    )


SEGMENTS = Segments(
    Thresholds(2.0, None),
    {
        "head": [LevelUsage(np.array([0, 2]), None), LevelUsage(np.array([2, 0]), None)],
        "torso": [LevelUsage(np.zeros(2, np.int64), None)] * 2,
        "tail": [LevelUsage(np.array([6, 0]), None), LevelUsage(np.array([4, 2]), None)],
    },
)


def recipe(*, exposed: bool = True, churn: Churn | None = None) -> Aggregates:
    return Aggregates(
        rows_in=10,
        rows_quarantined=2,
        usage=[
            LevelUsage(np.array([6, 2]), np.array([4.0, 4.0]) if exposed else None),
            LevelUsage(np.array([6, 2]), np.array([5.0, 3.0]) if exposed else None),
        ],
        prefixes=[sums([6, 2], [4, 4] if exposed else None), sums([4, 2, 2], [1, 3, 4] if exposed else None)],
        buckets=buckets([4, 2, 2], [1, 3, 4] if exposed else None, [3, 1, 1]),
        segments=SEGMENTS if exposed else None,
        totals=AssignmentTotals(8, 2.0, 6.0, 8.0, 4.0, np.array([2.0, 1.0]), np.array([4.0, 2.0]), np.array([0, 2])),
        churn=churn,
    )


def figures(aggregates: Aggregates, tokenizer: Tokenizer = TOKENIZER) -> dict[tuple, float]:
    rows = all_figures(aggregates, tokenizer, latent_scales(tokenizer, SETTINGS))
    assert all(isinstance(row, MetricRow) and type(row.value) is float for row in rows)
    table = {(row.metric, row.level, row.weighting, row.eta): row.value for row in rows}
    assert len(table) == len(rows)  # no figure twice
    return table


def overlap_of_two(first: float, second: float, distance: float, sigma: float) -> float:
    return first**2 + second**2 + 2 * first * second * math.erfc(distance / (2 * math.sqrt(2) * sigma))


def test_every_figure_by_hand():
    found = figures(recipe())
    by_hand = {
        ("items", 0): 8, ("quarantine_rate", 0): 0.2,
        ("utilization", 1): 1, ("utilization", 2): 1, ("dead_codes", 1): 0, ("dead_codes", 2): 0,
        ("inverse_simpson", 1): 1.6, ("inverse_simpson", 2): 1.6, ("gini", 1): 0.25, ("gini", 2): 0.25,
        ("distribution", 1): 0.8, ("distribution", 2): 0.8,
        ("unique_sids", 0): 3, ("duplicate_rate", 0): 5 / 8, ("shared_rate", 0): 1, ("exact_duplicate_rate", 0): 3 / 8,
        ("excess_duplicate_rate", 0): 2 / 8, ("largest_bucket", 0): 4, ("collision_mass", 0): 24 / 64,
        ("harmful_shared_rate", 0): 4 / 8, ("exact_duplicate_bucket_rate", 0): 4 / 8,
        ("occupied_prefixes", 1): 2, ("occupied_prefixes", 2): 3,
        ("relative_mse", 0): 0.25, ("mean_cosine", 0): 0.75, ("residual_share", 1): 0.5, ("residual_share", 2): 0.25,
        ("mean_margin", 1): 0.5, ("mean_margin", 2): 0.25, ("uncertain_share", 1): 0, ("uncertain_share", 2): 0.25,
    }  # fmt: skip
    for (metric, level), value in by_hand.items():
        assert found[(metric, level, "items", None)] == pytest.approx(value), metric
    first = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    both = -0.5 * math.log(0.5) - 2 * 0.25 * math.log(0.25)
    assert found[("perplexity", 1, "items", None)] == pytest.approx(math.exp(first))
    assert found[("prefix_entropy", 1, "items", None)] == pytest.approx(first)
    assert found[("prefix_entropy", 2, "items", None)] == pytest.approx(both)
    assert found[("conditional_entropy", 1, "items", None)] == pytest.approx(first)
    assert found[("conditional_entropy", 2, "items", None)] == pytest.approx(both - first)
    named = {row[0] for row in found}
    assert named == {metric for metric, _ in by_hand} | OTHERWISE
    assert named <= {metric.value for metric in Metric}


def test_capacity_on_every_level_weighting_and_scale():
    """sigma = eta times the latent RMS of the tokenizer, the same on both levels."""
    found = figures(recipe())
    shares = {("items", 1): 0.75, ("items", 2): 0.75, ("exposure", 1): 0.5, ("exposure", 2): 0.625}
    for (weighting, level), first in shares.items():
        simpson = first**2 + (1 - first) ** 2
        for eta in (0.5, 2.0):
            overlap = overlap_of_two(first, 1 - first, {1: 4.0, 2: 1.0}[level], eta * 2.0)
            at = (level, weighting, eta)
            assert found[("expected_overlap", *at)] == pytest.approx(overlap)
            assert found[("effective_capacity", *at)] == pytest.approx(1 / overlap)
            assert found[("geometry", *at)] == pytest.approx(simpson / overlap)
            parts = 2 * found[("distribution", level, weighting, None)] * found[("geometry", *at)]
            assert parts == pytest.approx(found[("effective_capacity", *at)])


def test_capacity_under_several_rulers():
    """Every ruler has its own sigma a level, and its rows say which."""
    scales = [
        Scale(Ruler.LATENT, 0.5, (1.0, 1.0)),
        Scale(Ruler.INPUT, 0.5, (3.0, 0.25), (0.5, 0.125)),
        Scale(Ruler.AFTER, None, (0.5, 2.0), (0.1, 0.2)),
    ]
    rows = all_figures(recipe(), TOKENIZER, scales)
    found = {(row.metric, row.level, row.weighting, row.ruler, row.eta): row for row in rows}
    assert len(found) == len(rows)
    for scale in scales:
        for level, distance in ((1, 4.0), (2, 1.0)):
            at, sigma = (level, "items", scale.ruler.value, scale.eta), scale.sigma[level - 1]
            overlap = overlap_of_two(0.75, 0.25, distance, sigma)
            assert found[("sigma", *at)].value == sigma
            error = None if scale.standard_error is None else scale.standard_error[level - 1]
            assert found[("sigma", *at)].standard_error == error
            assert found[("expected_overlap", *at)].value == pytest.approx(overlap)
            assert found[("effective_capacity", *at)].value == pytest.approx(1 / overlap)
            assert found[("geometry", *at)].value == pytest.approx(0.625 / overlap)
    perturbed = {row.metric for row in rows if row.ruler is not None}
    assert perturbed == {"sigma", "expected_overlap", "effective_capacity", "geometry"}


def test_figures_by_exposure():
    found = figures(recipe())
    assert found[("inverse_simpson", 1, "exposure", None)] == pytest.approx(2)
    assert found[("gini", 2, "exposure", None)] == pytest.approx(1 / 8)
    assert found[("collision_mass", 0, "exposure", None)] == pytest.approx((1 + 9 + 16) / 64)
    whole = -sum(share * math.log(share) for share in (1 / 8, 3 / 8, 4 / 8))
    assert found[("prefix_entropy", 2, "exposure", None)] == pytest.approx(whole)
    assert found[("conditional_entropy", 2, "exposure", None)] == pytest.approx(whole - math.log(2))


def test_collisions_by_exposure():
    found = figures(recipe())
    assert found[("shared_rate", 0, "exposure", None)] == 1
    assert found[("harmful_shared_rate", 0, "exposure", None)] == pytest.approx(1 / 8)
    assert found[("exact_duplicate_bucket_rate", 0, "exposure", None)] == pytest.approx(7 / 8)


def test_without_embeddings_there_are_no_figures_about_them():
    unknown = {name: replace(part, harmful=None) for name, part in recipe().buckets.segments.items()}
    bare = replace(recipe().buckets, harmful=None, duplicates=None, distinct_embeddings=None, segments=unknown)
    found = figures(replace(recipe(), buckets=bare))
    gone = {key[0] for key in set(figures(recipe())) - set(found)}
    assert gone == {
        "exact_duplicate_rate", "excess_duplicate_rate", "harmful_shared_rate", "exact_duplicate_bucket_rate",
    }  # fmt: skip
    assert all(metric not in gone for metric, *_ in found)


def test_head_torso_and_tail():
    found = figures(recipe())
    of_segments = {key: value for key, value in found.items() if key[2] in ("head", "torso", "tail")}
    assert of_segments == pytest.approx(
        {
            ("segment_threshold", 0, "head", None): 2,
            ("items", 0, "head", None): 2, ("items", 0, "torso", None): 0, ("items", 0, "tail", None): 6,
            ("shared_rate", 0, "head", None): 1, ("shared_rate", 0, "tail", None): 1,
            ("harmful_shared_rate", 0, "head", None): 0, ("harmful_shared_rate", 0, "tail", None): 4 / 6,
            **{("utilization", level, "head", None): 0.5 for level in (1, 2)},
            **{("dead_codes", level, "head", None): 1 for level in (1, 2)},
            **{("perplexity", level, "head", None): 1 for level in (1, 2)},
            **{("inverse_simpson", level, "head", None): 1 for level in (1, 2)},
            **{("gini", level, "head", None): 0.5 for level in (1, 2)},
            ("utilization", 1, "tail", None): 0.5, ("utilization", 2, "tail", None): 1,
            ("dead_codes", 1, "tail", None): 1, ("dead_codes", 2, "tail", None): 0,
            ("perplexity", 1, "tail", None): 1, ("perplexity", 2, "tail", None): 3 / 2 ** (2 / 3),
            ("inverse_simpson", 1, "tail", None): 1, ("inverse_simpson", 2, "tail", None): 9 / 5,
            ("gini", 1, "tail", None): 0.5, ("gini", 2, "tail", None): 1 / 6,
        }
    )  # fmt: skip


def test_codes_that_only_exposure_or_only_items_use():
    aggregates = replace(recipe(), usage=[LevelUsage(np.array([8, 0]), np.array([0.0, 3.0])), recipe().usage[1]])
    found = figures(aggregates)
    for weighting in ("items", "exposure"):
        assert found[("dead_codes", 1, weighting, None)] == 1
        assert found[("utilization", 1, weighting, None)] == 0.5
        assert found[("effective_capacity", 1, weighting, 2.0)] == 1


def without_exposure() -> list[Aggregates]:
    zero = [replace(usage, exposure=np.zeros(2)) for usage in recipe().usage]
    nothing = [replace(part, exposure=0.0, exposure_log=0.0) for part in recipe().prefixes]
    unseen = buckets([4, 2, 2], [0.0] * 3, [3, 1, 1])
    return [recipe(exposed=False), replace(recipe(), usage=zero, prefixes=nothing, buckets=unseen, segments=None)]


@pytest.mark.parametrize("aggregates", without_exposure(), ids=["absent", "all zero"])
def test_without_exposure_there_are_the_figures_by_items_alone(aggregates):
    found = figures(aggregates)
    assert found == {key: value for key, value in figures(recipe()).items() if key[2] == "items"}


def test_what_training_left_of_unseen_items_is_a_figure_of_the_last_level():
    levels = {"held_out": [{"relative_mse": 0.6}, {"relative_mse": 0.4}]}
    found = figures(recipe(), replace(TOKENIZER, training={"levels": levels}))
    assert found["residual_share_unseen", 0, "items", None] == 0.4
    without = replace(TOKENIZER, training={"levels": {"held_out": []}})
    assert "residual_share_unseen" not in {key[0] for key in figures(recipe(), without)}


def test_a_catalogue_that_does_not_vary_has_no_relative_figures():
    still = AssignmentTotals(8, 0.0, 8.0, 0.0, 0.0, np.zeros(2), np.zeros(2), np.zeros(2, np.int64))
    found = figures(replace(recipe(), totals=still), replace(TOKENIZER, latent_rms=(0.0, 0.0)))
    missing = {key[0] for key in figures(recipe())} - {key[0] for key in found}
    assert missing == {"relative_mse", "residual_share"}
    assert found[("mean_cosine", 0, "items", None)] == 1
    for eta in (0.5, 2.0):  # nothing is blurred: codewords are as good as their use
        assert found[("geometry", 1, "items", eta)] == pytest.approx(1)
        assert found[("effective_capacity", 1, "items", eta)] == pytest.approx(1.6)


def test_one_item_in_one_code():
    one = Aggregates(
        rows_in=1,
        rows_quarantined=0,
        usage=[LevelUsage(np.array([1, 0]), None)] * 2,
        prefixes=[sums([1], None)] * 2,
        buckets=buckets([1], None, [1]),
        segments=None,
        totals=AssignmentTotals(1, 0.0, 1.0, 0.0, 0.0, np.zeros(2), np.ones(2), np.zeros(2, np.int64)),
        churn=None,
    )
    found = figures(one)
    assert found[("perplexity", 1, "items", None)] == 1
    assert found[("prefix_entropy", 2, "items", None)] == 0
    assert found[("duplicate_rate", 0, "items", None)] == found[("shared_rate", 0, "items", None)] == 0
    assert found[("collision_mass", 0, "items", None)] == 1


def test_churn_by_level_where_it_is_counted():
    swapped = np.array([[0, 5], [3, 0]])
    found = figures(recipe(churn=Churn([swapped, None], items=8, moved=6)))
    assert found[("churn", 0, "items", None)] == 0.75
    assert found[("churn", 1, "items", None)] == 1
    assert found[("churn_matched", 1, "items", None)] == 0
    assert ("churn", 2, "items", None) not in found
    assert ("churn_matched", 0, "items", None) not in found


def test_churn_without_a_common_item_does_not_exist():
    found = figures(recipe(churn=Churn([np.zeros((2, 2), np.int64), None], items=0, moved=0)))
    assert found == figures(recipe())
