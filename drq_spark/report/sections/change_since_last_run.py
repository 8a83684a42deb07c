"""Items whose code is another one than in the run before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drq_spark.metrics import ITEMS, Metric
from drq_spark.page.drawing import Row, bar_rows
from drq_spark.page.elements import Chart, Table
from drq_spark.page.numbers import percent
from drq_spark.report.cells import known_levels, table_by_level
from drq_spark.report.data import ReportData


def parts(data: ReportData) -> dict[str, Any]:
    """What the section shows, by the names in its template."""
    return {
        "churn": _chart(data),
        "churn_table": _table(data),
        "churn_sentence": _sentence(data),
        "frontier": _frontier(data),
    }


def _chart(data: ReportData) -> Chart | None:
    raw, matched = known_levels(data, Metric.CHURN), known_levels(data, Metric.CHURN_MATCHED)
    return _bars([(level, value, matched.get(level)) for level, value in raw.items()]) if any(raw.values()) else None


def _bars(rows: Sequence[tuple[int, float, float | None]]) -> Chart:
    """Items whose code changed since the previous run, before and after matching; a row is (level, raw, matched)."""
    bars = [
        Row(f"level {level}", ((matched or 0.0, "close"), (raw - (matched or 0.0), "uneven")), percent(raw))
        for level, raw, matched in rows
    ]
    words = "; ".join(
        f"level {level} {percent(raw)}" + (f", {percent(matched)} after renaming" if matched is not None else "")
        for level, raw, matched in rows
    )
    return Chart(
        "Items whose code changed",
        "Short is good: models that learned the old codes must learn the changed ones again. Renamed codes can be "
        "mapped back; real movement cannot.",
        bar_rows(bars, "churn", f"Churn per level: {words}", limit=1.0),
        (("close", "really moved to another cluster"), ("uneven", "same cluster under a new code")),
    )


def _table(data: ReportData) -> Table | None:
    """Items whose code changed, per level."""
    columns: list[tuple[str, Metric, float | None]] = [
        ("code changed", Metric.CHURN, None),
        ("really moved", Metric.CHURN_MATCHED, None),
        ("drift of use since training", Metric.CODE_DRIFT, None),
    ]
    return table_by_level(data, "Changed since the previous run", columns, ITEMS, [])


def _frontier(data: ReportData) -> Table | None:
    """What every pull of a retraining would keep and cost, the one that was taken marked; None for other runs."""
    told: Mapping[str, Any] = data.training.get("retrained", {})
    if "frontier" not in told:
        return None
    free, taken = told["free_unseen_relative_mse"], (told.get("pull", ""), told.get("freed"))
    rows = []
    for rung in told["frontier"]:
        name = "books as they were" if rung["pull"] is None else f"pull {rung['pull']:g}, freed {rung['freed']:g}"
        mark = " (taken)" if (rung["pull"], rung["freed"]) == taken else ""
        cost = rung["unseen_relative_mse"] / free - 1 if free else 0.0
        rows.append((name + mark, percent(rung["kept"]), f"{100 * cost:+.2f} %"))
    if told["start"] == "matching":
        rows.append(("free fit, codes renamed (taken)", percent(told["kept"]), "0 %"))
    caption = f"What a retraining keeps, and what it costs; at most {percent(told['budget'])} was allowed"
    return Table(caption, ("", "SIDs kept", "unseen error beside a free fit"), tuple(rows))


def _sentence(data: ReportData) -> str:
    moved = data.figures.value(Metric.CHURN)
    return f"{percent(moved)} of the items have another SID than before." if moved is not None else ""
