"""Which shape is proposed, on figures made by hand."""

from __future__ import annotations

import json
from itertools import permutations

import numpy as np
import pytest
from rich.console import Console

from drq_spark.errors import ConfigError
from drq_spark.plan.extrapolation import Estimate, Extrapolated, Occupancy
from drq_spark.plan.grid import Fitted, Shape
from drq_spark.plan.plan_page import render
from drq_spark.plan.proposal import Candidate, Plan, PlannedCatalogue, Targets, candidate, described, propose
from drq_spark.plan.show import show_plan

CATALOGUE = PlannedCatalogue(
    items=1000, distinct_embeddings=950, sample=200, sample_distinct=198, fingerprint="abc", dim=4, eta=0.5
)
SEEN = Occupancy(np.array([1, 2]), np.array([180, 10]))


def one(codes: int, levels: int, excess: float, high: float, capacity: tuple[float, ...] = (0.9, 0.5)) -> Candidate:
    """A shape with an excess duplicate rate, the end of its interval, and K_eff / K."""
    rate = Estimate(excess + 0.05, excess + 0.05, high + 0.05)
    whole = Extrapolated(rate, Estimate(0.1, 0.1, 0.1), Estimate(900, 900, 900))
    fitted = Fitted(Shape(codes, levels), SEEN, capacity, 0.4)
    return Candidate(fitted, whole, Estimate(excess, excess / 2, high))


def shape(plan: Plan) -> tuple[int, int] | None:
    return None if plan.chosen is None else (plan.chosen.shape.codes, plan.chosen.shape.levels)


MANY, SMALL = one(64, 5, 0.001, 0.002), one(64, 4, 0.01, 0.015)
TIE, TINY = one(4096, 2, 0.01, 0.019), one(64, 2, 0.3, 0.4)


def test_the_fewest_possible_sids_win_and_of_equals_the_shortest() -> None:
    """64^4 = 4096^2 = 2^24 < 64^5; 64^2 is too small for the target. In any order."""
    for order in permutations((MANY, SMALL, TIE, TINY)):
        assert shape(propose(order, CATALOGUE, Targets(0.02))) == (4096, 2)
    assert shape(propose((MANY, SMALL, TINY), CATALOGUE, Targets(0.02))) == (64, 4)


def test_the_end_of_the_interval_must_be_within_the_target() -> None:
    assert shape(propose((MANY, TIE), CATALOGUE, Targets(0.0189))) == (64, 5)
    assert shape(propose((MANY, TIE), CATALOGUE, Targets(0.019))) == (4096, 2)


def test_every_level_must_keep_its_share() -> None:
    uneven = one(64, 3, 0.001, 0.002, (0.9, 0.2, 0.8))
    assert shape(propose((uneven, MANY), CATALOGUE, Targets(0.02))) == (64, 3)
    assert shape(propose((uneven, MANY), CATALOGUE, Targets(0.02, 0.2))) == (64, 3)
    assert shape(propose((uneven, MANY), CATALOGUE, Targets(0.02, 0.21))) == (64, 5)


@pytest.mark.parametrize(
    ("candidates", "targets", "nearest", "says"),
    [
        ((SMALL, TINY), Targets(0.005), (64, 4), "excess duplicates of 1 % are above 0.5 %"),
        ((SMALL, TINY), Targets(0.012), (64, 4), "within 1.2 %, but may be up to 1.5 %: a larger sample.size"),
        ((SMALL, MANY), Targets(0.02, 0.6), (64, 4), "level 2 keeps 50.0% of its codes, not 60.0%"),
        ((TINY, one(64, 3, 0.01, 0.015, (0.1,))), Targets(0.02, 0.3), (64, 3), "level 1 keeps 10.0%"),
    ],
)
def test_where_none_fits_the_nearest_is_named_with_the_reason(
    candidates: tuple[Candidate, ...], targets: Targets, nearest: tuple[int, int], says: str
) -> None:
    plan = propose(candidates, CATALOGUE, targets)
    assert plan.chosen is None
    assert (plan.nearest.shape.codes, plan.nearest.shape.levels) == nearest
    assert plan.reason.startswith("no shape meets the targets")
    assert says in plan.reason


def test_exact_duplicates_are_taken_off() -> None:
    """50 of 1,000 embeddings repeat another: 5 % of the duplicates are nobody's fault; below 0 it is 0."""
    fitted = Fitted(Shape(64, 3), SEEN, (0.5,), 0.4)
    found = candidate(fitted, CATALOGUE, seed=0)
    rate, excess = found.catalogue.duplicate_rate, found.excess_duplicate_rate
    assert CATALOGUE.exact_duplicate_rate == pytest.approx(0.05)
    assert excess.value == pytest.approx(max(rate.value - 0.05, 0))
    assert excess.high == pytest.approx(rate.high - 0.05)
    bare = candidate(Fitted(Shape(64, 3), Occupancy(np.array([1]), np.array([200])), (0.5,), 0.4), CATALOGUE, seed=0)
    assert (bare.excess_duplicate_rate.value, bare.excess_duplicate_rate.low) == (0.0, 0.0)


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.0, float("nan")])
def test_duplicate_rates_out_of_range_are_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match="--target-duplicate-rate must be above 0 and below 1"):
        Targets(rate)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, float("nan")])
def test_capacities_out_of_range_are_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="--target-k-eff is a share of K"):
        Targets(0.02, share)


def test_what_is_kept_is_plain_json() -> None:
    plan = propose((MANY, SMALL, TINY), CATALOGUE, Targets(0.02, 0.3))
    kept = json.loads(json.dumps(described(plan), allow_nan=False))
    assert kept["chosen"] == kept["nearest"] == {"codes": 64, "levels": 4}
    assert [(row["codes"], row["levels"]) for row in kept["shapes"]] == [(64, 2), (64, 4), (64, 5)]
    first = kept["shapes"][0]
    assert first["possible_sids"] == 4096
    assert first["sample"]["excess_duplicates"] == 198 - 190
    assert first["sample"]["duplicate_rate"] == pytest.approx(0.05)
    assert first["sample"]["shared_rate"] == pytest.approx(0.1)
    assert first["catalogue"]["excess_duplicate_rate"] == {"value": 0.3, "low": 0.15, "high": 0.4}


def told(plan: Plan) -> str:
    console = Console(width=160, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    show_plan(console, plan)
    return console.export_text()


def test_the_table_names_the_proposal() -> None:
    text = told(propose((MANY, SMALL, TINY), CATALOGUE, Targets(0.02)))
    assert "Proposal: --levels 4 --codes 64" in text
    assert "1 % (0.5 % – 1.5 %)" in text
    assert "No proposal" not in text
    none = told(propose((TINY,), CATALOGUE, Targets(0.02)))
    assert "No proposal: no shape meets" in none
    assert "Nearest: --levels 2 --codes 64" in none


def test_the_page_is_written_for_every_outcome() -> None:
    """Also without duplicates, which a logarithmic axis cannot show."""
    nothing = one(256, 3, 0.0, 0.0)
    chosen, missed, alone = (
        render(propose(candidates, CATALOGUE, targets), "items <of> all")
        for candidates, targets in (
            ((MANY, SMALL, TINY), Targets(0.02, 0.3)),
            ((MANY, SMALL, TINY, nothing), Targets(0.02, 0.99)),
            ((nothing,), Targets(0.02)),
        )
    )
    for page in (chosen, missed, alone):
        assert page.count("<svg") == 2
        assert "items &lt;of&gt; all" in page
    assert "<h1>64 codes on 4 levels</h1>" in chosen
    assert "drq run --levels 4 --codes 64" in chosen
    assert "<td><b>1 % (0.5 % – 1.5 %)</b></td>" in chosen
    assert "<h1>No shape meets the targets</h1>" in missed
    assert "256 codes on 3 levels" in alone
    assert chosen == render(propose((MANY, SMALL, TINY), CATALOGUE, Targets(0.02, 0.3)), "items <of> all")
