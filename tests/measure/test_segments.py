"""Head, torso and tail against plain loops over the items."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measure.catalogues import layouts, made, segments

from drq_spark.formulas.usage import segment_thresholds as thresholds_of_groups
from drq_spark.measure.aggregates import Thresholds
from drq_spark.measure.usage.segments import segment_of, segment_thresholds, usage_by_segment

PARETO = np.floor(np.random.default_rng(3).pareto(1.1, 200) * 5).tolist()
EXPOSURES = {
    "ties, zeros and a long tail": PARETO,
    "fractions": [value / 10 for value in PARETO],
    "all equal": [2.5] * 60,
    "one third each": [0.1] * 3,
    "one item": [7.0],
    "one item carries all": [1e6, *[1.0] * 20, 0.0],
    "some unknown": [None if place % 3 else float(place) for place in range(60)],
    "values 1 % apart": [1000.0 * 1.002**place for place in range(80)],
    "tiny and huge": [5e-324, 1e-300, 1.0, 1e300, 1e300],
}
NOTHING = {"no exposure": [None] * 20, "all zero": [0.0] * 20}


@pytest.mark.parametrize(("name", "partitions"), layouts(EXPOSURES, "fractions"))
def test_every_item_is_in_its_segment(spark, name, partitions):
    catalogue = made(len(EXPOSURES[name]), EXPOSURES[name])
    sids = catalogue.sids(spark, partitions)
    found = segment_thresholds(sids)
    rows = sids.select("item_id", segment_of(found).alias("segment")).collect()
    truth = segments(catalogue.exposure)
    assert [row.segment for row in sorted(rows)] == truth
    for segment, threshold in (("head", found.head), ("torso", found.torso)):
        members = [e for e, here in zip(catalogue.exposure, truth, strict=True) if here == segment]
        assert threshold == (min(members) if members else None)


@pytest.mark.parametrize("name", NOTHING)
def test_without_exposure_there_are_no_segments_and_all_is_tail(spark, name):
    catalogue = made(20, NOTHING[name])
    sids = catalogue.sids(spark)
    assert segment_thresholds(sids) is None
    assert {row.segment for row in sids.select(segment_of(None).alias("segment")).collect()} == {"tail"}
    whole, parts = usage_by_segment(sids, catalogue.sizes, None)
    for level, usage in enumerate(whole):
        assert parts["tail"][level].items.tolist() == usage.items.tolist()
        assert parts["head"][level].items.sum() == parts["torso"][level].items.sum() == 0


@pytest.mark.parametrize(("name", "partitions"), layouts(["one item", "some unknown"], "fractions"))
def test_codes_are_counted_by_segment_and_in_all(spark, name, partitions):
    catalogue = made(len(EXPOSURES[name]), EXPOSURES[name])
    sids, truth = catalogue.sids(spark, partitions), segments(catalogue.exposure)
    whole, parts = usage_by_segment(sids, catalogue.sizes, segment_thresholds(sids))
    for segment, usage in parts.items():
        here = [codes for codes, own in zip(catalogue.codes, truth, strict=True) if own == segment]
        for level, size in enumerate(catalogue.sizes):
            counted = [sum(int(codes[level] == code) for codes in here) for code in range(size)]
            assert usage[level].items.tolist() == counted
    known = all(shown is not None for shown in catalogue.exposure)
    for level, size in enumerate(catalogue.sizes):
        members = [
            [place for place, codes in enumerate(catalogue.codes) if codes[level] == code] for code in range(size)
        ]
        assert whole[level].items.tolist() == [len(places) for places in members]
        if known:
            shown = [math.fsum(catalogue.exposure[place] for place in places) for places in members]
            assert whole[level].exposure == pytest.approx(shown, rel=1e-12)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=30, unique_by=lambda g: g[0]))
def test_the_head_carries_a_third_the_torso_two_and_neither_could_do_with_a_group_less(groups):
    """Groups (lowest exposure, sum): integers, so that sums are exact."""
    lowest, mass = (np.array(part, np.float64) for part in zip(*groups, strict=True))
    head, torso = thresholds_of_groups(lowest, mass)
    total = int(mass.sum())
    for threshold, thirds in ((head, 1), (torso if torso is not None else head, 2)):
        assert 3 * mass[lowest >= threshold].sum() >= thirds * total
    assert 3 * mass[lowest > head].sum() < total
    if torso is None:
        assert 3 * mass[lowest >= head].sum() >= 2 * total
    else:
        assert torso < head
        assert 3 * mass[lowest > torso].sum() < 2 * total


@given(st.permutations(range(12)))
def test_the_order_of_groups_and_of_sums_does_not_decide(order):
    """Equal thirds of tenths: their float sums differ by order."""
    lowest, mass = np.arange(12.0) + 1, np.full(12, 0.1)
    assert thresholds_of_groups(lowest[list(order)], mass[list(order)]) == (9.0, 5.0)


def test_a_segment_is_told_by_exposure_alone(spark):
    rows = spark.createDataFrame([(3.0,), (math.nextafter(3.0, 0.0),), (1.0,), (0.5,), (None,)], "exposure double")
    found = rows.select(segment_of(Thresholds(3.0, 1.0)).alias("segment")).collect()
    assert [row.segment for row in found] == ["head", "torso", "torso", "tail", "tail"]
