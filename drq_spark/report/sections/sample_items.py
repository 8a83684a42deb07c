"""Some items, each with its neighbours in SID space."""

from __future__ import annotations

from typing import Any

from drq_spark.page.elements import Sid
from drq_spark.report.cells import sid
from drq_spark.report.data import Example, ReportData


def parts(data: ReportData) -> dict[str, Any]:
    """What the section shows, by the names in its template."""
    return {
        "examples": [_example(item) for item in data.examples],
    }


def _example(item: Example) -> tuple[Sid, list[Sid]]:
    """An item with its neighbours in SID space."""
    return sid(item.name, item.codes), [sid(near.name, near.codes, near.shared) for near in item.neighbours]
