"""Advice on the page: all of it at the top, each again beside the figures that it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drq_spark.page.numbers import three_digits
from drq_spark.report.advice.advise import Advice, Rule, advice
from drq_spark.report.advice.rule import where
from drq_spark.report.data import ReportData

_SECTION = {
    Rule.COLLAPSED: "usage",
    Rule.DEAD: "usage",
    Rule.UNEVEN: "usage",
    Rule.EXPOSURE: "capacity",
    Rule.CROWDED: "capacity",
    Rule.UNSTABLE: "movement",
    Rule.DUPLICATES: "collisions",
    Rule.TOO_SMALL: "collisions",
    Rule.CLUMPED: "collisions",
    Rule.BEHAVIOUR: "behaviour",
    Rule.DRIFTED: "churn",
}


@dataclass(frozen=True)
class Remedy:
    """One advice as text; `numbers` are those that triggered it, `id` and `section` say where it stands."""

    id: str
    section: str
    title: str
    cause: str
    remedy: str
    numbers: tuple[tuple[str, str], ...]


def parts(data: ReportData) -> dict[str, Any]:
    """What the template shows, by the names in it."""
    found = advice(data.metrics, data.codebook_sizes, data.headline_eta)
    return {"remedies": [_remedy(entry, ours=not data.external) for entry in found]}


def _remedy(entry: Advice, *, ours: bool) -> Remedy:
    """One advice as text; it names our settings only where we make the SIDs."""
    place = f" ({where(entry.levels)})" if entry.levels and entry.rule is not Rule.COLLAPSED else ""
    return Remedy(
        f"advice-{entry.rule.name.lower().replace('_', '-')}",
        _SECTION[entry.rule],
        entry.rule.value + place,
        entry.cause,
        f"{entry.remedy} {entry.settings}" if ours else entry.remedy,
        tuple((name, three_digits(value)) for name, value in entry.numbers),
    )
