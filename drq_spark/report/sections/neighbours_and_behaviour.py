"""What the page says of neighbours and behaviour: what the codes keep of both, with standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drq_spark.metrics import Metric
from drq_spark.page.drawing import MARKS, Dot, dot_rows, spoken
from drq_spark.page.elements import Chart, Fact
from drq_spark.page.numbers import finite, number, percent
from drq_spark.report.data import ReportData

_AUC = (
    ("raw embedding", Metric.AUC_RAW_UNIFORM, Metric.AUC_RAW_POPULARITY),
    ("SID, sum", Metric.AUC_SUM_UNIFORM, Metric.AUC_SUM_POPULARITY),
    ("SID, concatenated", Metric.AUC_CONCATENATION_UNIFORM, Metric.AUC_CONCATENATION_POPULARITY),
    ("SID, prefix", Metric.AUC_PREFIX_UNIFORM, Metric.AUC_PREFIX_POPULARITY),
)
"""Label, AUC against any item, AUC against items as popular."""
_ALWAYS = (Metric.BEHAVIOUR_PAIRS, Metric.EVENT_PAIRS, Metric.JUDGING_USERS)
_FACTS = (
    (Metric.EVENTS, "Events", "rows of the events table"),
    (Metric.EVENTS_WITHOUT_USER, "Without a user", "in no sequence"),
    (Metric.EVENTS_WITHOUT_POSITION, "Without a position", "in no sequence"),
    (Metric.EVENTS_OF_UNKNOWN_ITEMS, "Of unknown items", "of no item that there is"),
    (Metric.EVENTS_TIED, "At one position", "followed by another item at the same position"),
    (Metric.EVENTS_REPEATED, "Of one item", "followed by an event of the same item"),
    (Metric.EVENT_PAIRS, "Pairs", "of items that a user took one after the other"),
    (Metric.EVENT_USERS, "Users", "with an event of an item that there is"),
    (Metric.JUDGING_USERS, "Users that judge", "with a pair that training does not see"),
    (Metric.BEHAVIOUR_PAIRS, "Pairs that judge", "theirs, of items with a SID"),
)
"""Metric, term, what it counts; those not in `_ALWAYS` are shown where there are any."""
Rows = list[tuple[str, list[Dot]]]


def parts(data: ReportData) -> dict[str, Any]:
    """What the section shows, by the names in its template."""
    charts = (_kept(data), _hits(data), _auc(data))
    return {"behaviour": [chart for chart in charts if chart is not None], "behaviour_facts": _facts(data)}


def _facts(data: ReportData) -> list[Fact]:
    """How many pairs all of it was measured on, and what has become of the events."""
    found = [(data.figures.value(metric), metric, term, meaning) for metric, term, meaning in _FACTS]
    return [
        Fact(term, number(value), meaning)
        for value, metric, term, meaning in found
        if value is not None and (value or metric in _ALWAYS)
    ]


def _rows(data: ReportData, rows: Sequence[tuple[str, Sequence[Metric]]]) -> Rows:
    """(label, dots) of what the run has; the place of a metric in its row is the kind of its dot."""
    found = []
    for label, metrics in rows:
        figures = [(kind, data.figures.row(metric)) for kind, metric in enumerate(metrics)]
        dots = [Dot(row.value, finite(row.standard_error), kind) for kind, row in figures if row is not None]
        if dots:
            found.append((label, dots))
    return found


def _words(rows: Rows) -> str:
    return "; ".join(f"{label} {', '.join(spoken(dot, _short) for dot in dots)}" for label, dots in rows)


def _short(value: float) -> str:
    return f"{value:.3g}"


def _key(*words: str) -> tuple[tuple[str, ...], ...]:
    return tuple((MARKS[kind].colour, text, MARKS[kind].sign) for kind, text in enumerate(words))


def _kept(data: ReportData) -> Chart | None:
    rows = _rows(
        data,
        [
            ("neighbours, 20", [Metric.NEIGHBOUR_RECALL_20]),
            ("neighbours, 200", [Metric.NEIGHBOUR_RECALL_200]),
            ("retention, 20", [Metric.RETENTION_20]),
            ("retention, 200", [Metric.RETENTION_200]),
        ],
    )
    if not rows:
        return None
    return Chart(
        "What the codes keep of neighbours and behaviour",
        "Neighbours: share of the nearest items of an embedding that are also nearest to its reconstruction. "
        "Retention: how often the next item of a user is among the nearest, with reconstructions against with "
        "embeddings. Near 1 is good; retention may be above it. Bars are two standard errors.",
        dot_rows(
            rows, "kept", f"Recall of neighbours and retention: {_words(rows)}", (0.0, 1.0), number,
            (1.0, "nothing lost"), left=108,
        ),
    )  # fmt: skip


def _hits(data: ReportData) -> Chart | None:
    rows = _rows(
        data,
        [
            ("among 20", [Metric.RAW_HIT_RATE_20, Metric.HIT_RATE_20]),
            ("among 200", [Metric.RAW_HIT_RATE_200, Metric.HIT_RATE_200]),
        ],
    )
    if not rows:
        return None
    highest = max(dot.value for _, dots in rows for dot in dots)
    return Chart(
        "Next item among the nearest",
        "Share of pairs whose second item is among the nearest of the first in the whole catalogue. As high as with "
        "the embeddings is good.",
        dot_rows(rows, "hits", f"Hit rates: {_words(rows)}", (0.0, highest), percent, left=74),
        _key("embeddings", "reconstructions from SIDs"),
    )


def _auc(data: ReportData) -> Chart | None:
    rows = _rows(data, [(label, metrics) for label, *metrics in _AUC])
    if not rows:
        return None
    return Chart(
        "Pairs told from other pairs, AUC",
        "Chance that a pair of consecutive items is scored above the item with another partner. The SID should reach "
        "the raw embedding; against partners that are as popular, mere popularity does not help.",
        dot_rows(rows, "auc", f"AUC: {_words(rows)}", (0.45, 1.0), number, (0.5, "chance"), left=118),
        _key("against any item", "against items as popular"),
    )
