"""Extrapolated SID counts against distributions where the truth is known: closed forms, and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import poisson

from drq_spark.arrays import I64
from drq_spark.plan import extrapolation
from drq_spark.plan.extrapolation import Occupancy, curve, extrapolate, fit_curve, occupancy, overlap_of_all


def drawn(shares: NDArray[np.float64], sizes: tuple[int, int], seed: int) -> tuple[I64, I64]:
    """Boxes of a sample of n items, and of a catalogue of N that holds it."""
    boxes = np.random.default_rng(seed).choice(len(shares), size=sizes[1], p=shares / shares.sum())
    return boxes[: sizes[0]], boxes


def counted(boxes: I64) -> tuple[float, float, int]:
    """Duplicate rate, shared rate and unique boxes, item by item."""
    members: dict[int, int] = {}
    for box in boxes.tolist():
        members[box] = members.get(box, 0) + 1
    shared = sum(count for count in members.values() if count > 1)
    return 1 - len(members) / len(boxes), shared / len(boxes), len(members)


def expected_counts(boxes: int, items: int) -> Occupancy:
    """The expected sample of uniform boxes, rounded: so many of them that rounding does not matter."""
    times = np.arange(1, 40)
    sids = np.rint(boxes * poisson.pmf(times, items / boxes)).astype(np.int64)
    return Occupancy(times[sids > 0], sids[sids > 0])


@pytest.mark.parametrize("load", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("growth", [2, 10, 50])
def test_uniform_boxes_have_a_closed_form(load: float, growth: int) -> None:
    """M boxes and N items: M (1 - e^(-N/M)) boxes are occupied, and N e^(-N/M) items are alone."""
    boxes = 10**7
    seen = expected_counts(boxes, int(load * boxes))
    items = seen.items * growth
    found = extrapolate(seen, items, 1e18, seed=0)
    unique, alone = boxes * -np.expm1(-items / boxes), items * np.exp(-items / boxes)
    assert found.unique_sids.value == pytest.approx(unique, rel=0.01)
    assert found.duplicate_rate.value == pytest.approx(1 - unique / items, rel=0.01)
    assert found.shared_rate.value == pytest.approx(1 - alone / items, rel=0.01)


@pytest.mark.parametrize("kappa", [1e-9, 0.3, 1.0, 2.5])
def test_the_curve_is_the_integral_of_its_slope_and_is_found_again(kappa: float) -> None:
    rho = 0.7

    def slope(x: float) -> float:
        return float((1 + kappa * rho * x) ** (-1 / kappa)) if kappa > 1e-6 else float(np.exp(-rho * x))

    for x in (0.2, 1.0, 20.0):
        unique, alone = curve(x, np.array([rho]), np.array([kappa]))
        assert unique[0] == pytest.approx(quad(slope, 0, x)[0], rel=1e-6)
        assert alone[0] == pytest.approx(slope(x), rel=1e-6)
    unique, alone = curve(1.0, np.array([rho]), np.array([kappa]))
    again = fit_curve(unique, alone)
    assert again[0][0] == pytest.approx(rho, rel=1e-4)
    assert again[1][0] == pytest.approx(kappa, rel=1e-4, abs=1e-6)


def test_the_sample_that_is_the_catalogue_is_counted_and_the_interval_is_that_of_another_fit() -> None:
    """Two standard deviations of `REFIT` on the odds, either way."""
    boxes, _ = drawn(np.ones(500), (800, 800), 0)
    found = extrapolate(occupancy(boxes), 800, 500, seed=0)
    estimates = (found.duplicate_rate, found.shared_rate, found.unique_sids)
    for estimate, truth in zip(estimates, counted(boxes), strict=True):
        assert estimate.value == pytest.approx(truth, rel=1e-12)
    for estimate in estimates[:2]:
        odds = [rate / (1 - rate) for rate in (estimate.low, estimate.value, estimate.high)]
        assert np.log(odds[2] / odds[1]) == pytest.approx(1.96 * extrapolation.REFIT, rel=0.1)
        assert np.log(odds[1] / odds[0]) == pytest.approx(1.96 * extrapolation.REFIT, rel=0.1)
    assert 1 - found.unique_sids.low / 800 == pytest.approx(found.duplicate_rate.high)


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("uniform", np.ones(30_000)),
        ("uniform, rarely met", np.ones(500_000)),
        ("log-normal", np.exp(1.5 * np.random.default_rng(0).normal(size=50_000))),
        ("Zipf 0.8", np.arange(1.0, 100_001) ** -0.8),
        ("Zipf 1.1", np.arange(1.0, 100_001) ** -1.1),
        ("near copies of 4 %", np.where(np.random.default_rng(0).random(200_000) < 0.04, 30.0, 1.0)),
    ],
)
@pytest.mark.parametrize("growth", [4, 16])
def test_intervals_hold_the_truth(name: str, shares: NDArray[np.float64], growth: int) -> None:
    """Nineteen of twenty catalogues, as claimed; counted over 12 samples each, of which chance takes three."""
    held = np.zeros(3)
    for seed in range(12):
        sample, boxes = drawn(shares, (2000, 2000 * growth), seed)
        found = extrapolate(occupancy(sample), len(boxes), len(shares), seed)
        estimates = (found.duplicate_rate, found.shared_rate, found.unique_sids)
        held += [one.low <= truth <= one.high for one, truth in zip(estimates, counted(boxes), strict=True)]
    assert (held[[0, 2]] >= 9).all(), name
    assert held[1] >= (9 if name != "near copies of 4 %" else 6)


def test_the_part_of_chance_alone_is_right_where_the_curve_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the allowances for misfit and refits: uniform boxes, for which the interval claims 19 of 20."""
    monkeypatch.setattr(extrapolation, "MISFIT", 0.0)
    monkeypatch.setattr(extrapolation, "REFIT", 0.0)
    held, widths, errors = 0, [], []
    for seed in range(60):
        sample, boxes = drawn(np.ones(100_000), (3000, 9000), seed)
        rate, truth = extrapolate(occupancy(sample), 9000, 100_000, seed).duplicate_rate, counted(boxes)[0]
        held += rate.low <= truth <= rate.high
        widths.append(rate.high - rate.low)
        errors.append(rate.value - truth)
    assert held >= 50  # 57 expected, 4 standard deviations less
    assert np.mean(widths) < 6 * np.std(errors)  # not wider than need be: 3.9 would be exact


def test_a_sample_without_duplicates_bounds_them() -> None:
    """No pair among n: up to 2.5 pairs (97.5 %, Jeffreys) may have been missed, (N / n)^2 times as many in all."""
    found = extrapolate(Occupancy(np.array([1]), np.array([2000])), 20_000, 1e12, seed=0)
    assert (found.duplicate_rate.value, found.duplicate_rate.low) == (0.0, pytest.approx(0.0, abs=1e-4))
    assert 1.5 * 100 / 20_000 < found.duplicate_rate.high < 4 * 100 / 20_000
    assert found.unique_sids.value == 20_000


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=60), st.floats(1, 1000), st.floats(0, 1))
def test_estimates_stay_within_what_is_possible(counts: list[int], growth: float, room: float) -> None:
    """Values between the SIDs seen and the possible ones, the sample's duplicates among them; intervals in order."""
    seen = occupancy(np.repeat(np.arange(len(counts)), counts))
    items = int(seen.items * growth)
    possible = seen.unique + int(room * (items - seen.unique))
    found = extrapolate(seen, items, possible, seed=1)
    for one in (found.duplicate_rate, found.shared_rate, found.unique_sids):
        assert one.low <= one.value <= one.high
    tiny = 1e-9 * items
    assert seen.unique - tiny <= found.unique_sids.value
    assert found.unique_sids.high <= min(possible, items) + tiny
    assert found.duplicate_rate.value >= (seen.items - seen.unique) / items - 1e-12
    assert found.unique_sids.low >= -tiny
    assert found.shared_rate.low >= 0
    assert found.shared_rate.high <= 1


def test_fewer_items_than_the_sample_are_refused() -> None:
    with pytest.raises(ValueError, match="3 items cannot be one of 2"):
        extrapolate(Occupancy(np.array([1]), np.array([3])), 2, 10, seed=0)


def test_counts_of_counts() -> None:
    seen = occupancy(np.array([5, 5, 5, 2, 2, 9, 1]))
    assert (seen.times.tolist(), seen.sids.tolist()) == ([1, 2, 3], [2, 1, 1])
    assert (seen.items, seen.unique, seen.alone) == (7, 4, 2)


def test_overlap_of_more_items_is_that_of_the_sample_in_the_mean() -> None:
    """O of n items over-counts by items that meet themselves; the mean over samples must be the O of N items."""
    random = np.random.default_rng(0)
    shares, overlap = random.dirichlet(np.ones(20)), np.full((20, 20), 0.1)
    np.fill_diagonal(overlap, 1.0)

    def mean_overlap(items: int, samples: int) -> float:
        use = random.multinomial(items, shares, size=samples) / items
        return float(np.einsum("si,ij,sj->s", use, overlap, use).mean())

    small = mean_overlap(30, 40_000)
    assert overlap_of_all(small, 30, 3000) == pytest.approx(mean_overlap(3000, 4000), rel=0.01)
    assert abs(small / mean_overlap(3000, 4000) - 1) > 0.05  # else the test would say nothing
    assert overlap_of_all(small, 30, 30) == pytest.approx(small, rel=1e-12)
