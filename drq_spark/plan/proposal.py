"""Which shape to take: the smallest one whose figures, extrapolated to the catalogue, meet the targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from drq_spark.errors import ConfigError
from drq_spark.formulas.ratios import ratio
from drq_spark.page.numbers import two_digit_percent
from drq_spark.plan.extrapolation import CONFIDENCE, MISFIT, REFIT, Estimate, Extrapolated, extrapolate
from drq_spark.plan.grid import Fitted, Shape


@dataclass(frozen=True)
class Targets:
    """What the whole catalogue must reach.

    Attributes:
        duplicate_rate: The most, above what equal embeddings make unavoidable, that the interval may reach.
        k_eff: The least K_eff / K of the worst level; None where capacity does not matter.

    Raises:
        ConfigError: a target out of range.
    """

    duplicate_rate: float = 0.02
    k_eff: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.duplicate_rate < 1:
            raise ConfigError(
                f"--target-duplicate-rate must be above 0 and below 1 (0.02 is 2 %), not {self.duplicate_rate:g}"
            )
        if self.k_eff is not None and not 0 < self.k_eff <= 1:
            raise ConfigError(
                f"--target-k-eff is a share of K, above 0 and at most 1 (0.3 is 30 %), not {self.k_eff:g}"
            )


@dataclass(frozen=True)
class PlannedCatalogue:
    """What the plan is for.

    Attributes:
        items: N.
        distinct_embeddings: Number of different embeddings of all items.
        sample: Items of the sample.
        sample_distinct: Number of different embeddings among them.
        fingerprint: Fingerprint of the sample.
        dim: D.
        eta: Scale of the capacity figures.
    """

    items: int
    distinct_embeddings: int
    sample: int
    sample_distinct: int
    fingerprint: str
    dim: int
    eta: float

    @property
    def exact_duplicate_rate(self) -> float:
        """The duplicate rate that no shape can avoid: equal embeddings get equal SIDs."""
        return ratio(self.items - self.distinct_embeddings, self.items)


@dataclass(frozen=True)
class Candidate:
    """A shape with its figures: of the sample as fitted, and of the whole catalogue as extrapolated.

    Attributes:
        excess_duplicate_rate: The extrapolated duplicate rate less that of exact duplicates, 0 at least.
    """

    fitted: Fitted
    catalogue: Extrapolated
    excess_duplicate_rate: Estimate

    @property
    def shape(self) -> Shape:
        """K and L."""
        return self.fitted.shape

    @property
    def capacity(self) -> float:
        """The smallest K_eff / K of the levels."""
        return min(self.fitted.capacity)

    def shortfall(self, targets: Targets) -> float:
        """How many times the worse of the two figures is off its target; at most 1 where both are met."""
        off = self.excess_duplicate_rate.high / targets.duplicate_rate
        return off if targets.k_eff is None else max(off, targets.k_eff / self.capacity)


@dataclass(frozen=True)
class Plan:
    """All shapes, in the order of size, and the one to take.

    Attributes:
        chosen: The smallest that meets the targets, None where none does.
        nearest: The chosen one, or the one that misses by the least.
        reason: Why, in a sentence.
    """

    catalogue: PlannedCatalogue
    targets: Targets
    candidates: tuple[Candidate, ...]
    chosen: Candidate | None
    nearest: Candidate
    reason: str


def candidate(fitted: Fitted, catalogue: PlannedCatalogue, seed: int) -> Candidate:
    """The figures of a shape for the whole catalogue."""
    found = extrapolate(fitted.seen, catalogue.items, fitted.shape.possible, seed)
    value, low, high = (
        max(rate - catalogue.exact_duplicate_rate, 0.0)
        for rate in (found.duplicate_rate.value, found.duplicate_rate.low, found.duplicate_rate.high)
    )
    return Candidate(fitted, found, Estimate(value, low, high))


def propose(candidates: Sequence[Candidate], catalogue: PlannedCatalogue, targets: Targets) -> Plan:
    """Take the shape with the fewest possible SIDs, of equals the shortest, among those that meet the targets.

    Args:
        candidates: At least one, in any order.
    """
    ordered = tuple(sorted(candidates, key=lambda one: (one.shape.possible, one.shape.levels)))
    meeting = [one for one in ordered if one.shortfall(targets) <= 1]
    nearest = meeting[0] if meeting else min(ordered, key=lambda one: one.shortfall(targets))
    reason = _met(nearest, targets) if meeting else _missed(nearest, targets)
    return Plan(catalogue, targets, ordered, meeting[0] if meeting else None, nearest, reason)


def described(plan: Plan) -> dict[str, Any]:
    """All numbers as plain JSON values; see docs/planning.md."""
    catalogue = plan.catalogue
    return {
        "items": catalogue.items,
        "distinct_embeddings": catalogue.distinct_embeddings,
        "exact_duplicate_rate": catalogue.exact_duplicate_rate,
        "dim": catalogue.dim,
        "sample": {
            "items": catalogue.sample,
            "distinct_embeddings": catalogue.sample_distinct,
            "fingerprint": catalogue.fingerprint,
        },
        "targets": asdict(plan.targets),
        "method": {
            "curve": "extended negative binomial (Engen 1974)",
            "misfit_per_e_fold": MISFIT,
            "refit": REFIT,
            "confidence": CONFIDENCE,
            "eta": catalogue.eta,
        },
        "shapes": [_shape(one, catalogue) for one in plan.candidates],
        "chosen": None if plan.chosen is None else asdict(plan.chosen.shape),
        "nearest": asdict(plan.nearest.shape),
        "reason": plan.reason,
    }


def _shape(one: Candidate, catalogue: PlannedCatalogue) -> dict[str, Any]:
    seen = one.fitted.seen
    return {
        **asdict(one.shape),
        "possible_sids": one.shape.possible,
        "sample": {
            "unique_sids": seen.unique,
            "duplicate_rate": ratio(seen.items - seen.unique, seen.items),
            "shared_rate": ratio(seen.items - seen.alone, seen.items),
            "excess_duplicates": catalogue.sample_distinct - seen.unique,
            "relative_mse": one.fitted.relative_mse,
        },
        "catalogue": {
            **asdict(one.catalogue),
            "excess_duplicate_rate": asdict(one.excess_duplicate_rate),
            "k_eff_share": list(one.fitted.capacity),
        },
    }


def _met(one: Candidate, targets: Targets) -> str:
    told = f"excess duplicates stay within {two_digit_percent(one.excess_duplicate_rate.high)}"
    if targets.k_eff is not None:
        told += f" and every level keeps {one.capacity:.0%} of its codes"
    return f"the fewest possible SIDs that meet the targets: {told}"


def _missed(one: Candidate, targets: Targets) -> str:
    """What keeps the nearest shape from its targets, and what helps."""
    excess, most, faults = one.excess_duplicate_rate, two_digit_percent(targets.duplicate_rate), []
    if excess.value > targets.duplicate_rate:
        faults.append(
            f"excess duplicates of {two_digit_percent(excess.value)} are above {most}: allow more, try more --levels, "
            "or raise sample.size, which lets more codes be tried"
        )
    elif excess.high > targets.duplicate_rate:
        faults.append(
            f"excess duplicates of {two_digit_percent(excess.value)} are within {most}, but may be up to "
            f"{two_digit_percent(excess.high)}: a larger sample.size narrows that"
        )
    if targets.k_eff is not None and one.capacity < targets.k_eff:
        level = one.fitted.capacity.index(one.capacity) + 1
        faults.append(
            f"level {level} keeps {one.capacity:.1%} of its codes, not {targets.k_eff:.1%}: ask for less, try fewer "
            "--codes or --levels, or raise tokenizer.balance"
        )
    return "no shape meets the targets; of the nearest " + "; ".join(faults)
