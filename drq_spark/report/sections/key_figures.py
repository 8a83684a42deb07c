"""The few figures to look at first."""

from __future__ import annotations

from typing import Any

from drq_spark.metrics import Metric
from drq_spark.page.elements import Fact
from drq_spark.page.numbers import NBSP, number, percent, whole_percent
from drq_spark.report.cells import MISSING, figure, known_levels
from drq_spark.report.data import ReportData


def parts(data: ReportData) -> dict[str, Any]:
    """What the section shows, by the names in its template."""
    return {
        "cards": _cards(data),
    }


def _cards(data: ReportData) -> list[Fact]:
    """The cards, from rows that have a SID to rows that have none; figures that the run lacks are left out."""
    facts = [Fact("Items with a SID", number(data.rows_out), f"of {number(data.rows_in)} input rows")]
    duplicates = data.figures.value(Metric.DUPLICATE_RATE)
    if duplicates is not None:
        what = f"{figure(data, Metric.UNIQUE_SIDS)} SIDs, as a share of items"
        facts.append(Fact("Unique SIDs", percent(1 - duplicates), what))
    parts = [data.capacity_parts(level) for level in data.levels]
    if any(parts):
        kept = " · ".join(whole_percent(part[0] * part[1]) if part else MISSING for part in parts)
        what = f"levels 1 to {len(parts)}, η = {number(data.headline_eta)}"
        facts.append(Fact("Capacity left, K_eff / K", f"{kept}{NBSP}%", what))
    error = data.figures.value(Metric.RELATIVE_MSE)
    if error is not None:
        facts.append(Fact("Relative MSE", number(error), "0 is perfect, 1 is no better than the average item"))
    unseen, seen = _left(data)
    if unseen is not None and seen is not None:
        what = f"of the spread of latents; of all items {percent(seen)}"
        facts.append(Fact("Left of unseen items", percent(unseen), what))
    if data.figures.value(Metric.NEIGHBOUR_RECALL_20) is not None:
        facts.append(Fact("Neighbours kept", figure(data, Metric.NEIGHBOUR_RECALL_20), "of the nearest 20"))
    if data.figures.value(Metric.RETENTION_200) is not None:
        facts.append(
            Fact(
                "Behaviour kept", figure(data, Metric.RETENTION_200), "next item among the nearest 200, embeddings = 1"
            )
        )
    dead = known_levels(data, Metric.DEAD_CODES)
    if len(dead) == len(data.levels):
        what = f"of {number(sum(data.codebook_sizes))} codes on all levels"
        facts.append(Fact("Dead codes", number(sum(dead.values())), what))
    return [*facts, _quarantined(data)]


def _left(data: ReportData) -> tuple[float | None, float | None]:
    """What the last level leaves of items that training did not see, and of all items."""
    figures = data.figures
    return figures.value(Metric.RESIDUAL_SHARE_UNSEEN), figures.value(Metric.RESIDUAL_SHARE, len(data.codebook_sizes))


def _quarantined(data: ReportData) -> Fact:
    lost = sum(data.quarantine.values())
    share = percent(lost / data.rows_in) if data.rows_in else MISSING
    return Fact("Quarantined", number(lost), f"{share} of input rows got no SID")
