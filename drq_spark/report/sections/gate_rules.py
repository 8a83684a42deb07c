"""What the gate made of its rules."""

from __future__ import annotations

from typing import Any

from drq_spark.page.numbers import finite, number
from drq_spark.report.data import GateResult, ReportData


def parts(data: ReportData) -> dict[str, Any]:
    """What the section shows, by the names in its template."""
    return {
        "gate": [(rule, _judged_value(rule)) for rule in data.gate],
    }


def _judged_value(result: GateResult) -> str:
    """The figure that a gate rule judged, in the unit of the rule's bounds, and its level."""
    value = finite(result.value)
    if value is None:
        return result.found
    return f"{number(value)}{f' at level {result.level}' if result.level else ''}"
