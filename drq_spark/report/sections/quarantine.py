"""Input rows that have no SID, by reason."""

from __future__ import annotations

from typing import Any

from drq_spark.page.elements import Meter
from drq_spark.page.numbers import number
from drq_spark.report.cells import meters
from drq_spark.report.data import ReportData
from drq_spark.schemas import Reason

_REASONS = {
    Reason.NULL_ID: "no id",
    Reason.DUPLICATE_ID: "id occurs more than once",
    Reason.NULL: "no embedding",
    Reason.WRONG_DIMENSION: "embedding of another length",
    Reason.NOT_FINITE: "embedding with values that are not finite",
    Reason.TOO_LARGE: "embedding with numbers beyond 1e15, a placeholder as a rule",
    Reason.ZERO_NORM: "embedding of norm 0, which cosine geometry cannot place",
    Reason.NULL_CODES: "no codes, or a NULL among them",
    Reason.WRONG_LENGTH: "another number of codes than the SIDs have levels",
    Reason.UNKNOWN_ITEM: "not in the items table",
}


def parts(data: ReportData) -> dict[str, Any]:
    """What the section shows, by the names in its template."""
    return {
        "quarantine": _by_reason(data),
    }


def _by_reason(data: ReportData) -> list[Meter]:
    """Rows without a SID by reason, most frequent first."""
    known = {reason.value: text for reason, text in _REASONS.items()}
    counts = sorted(((count, reason) for reason, count in data.quarantine.items() if count), reverse=True)
    return meters([(f"{known.get(reason, reason)} ({reason})", count) for count, reason in counts], number)
