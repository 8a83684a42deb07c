"""The tables and lists of the page, as plain text cells; a part without figures is None and does not appear."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from drq_spark.metrics import EXPOSURE, ITEMS, Metric
from drq_spark.page.elements import Fact, Meter, Sid, Table
from drq_spark.page.numbers import NBSP, duration, finite, number, percent, whole_percent
from drq_spark.report.data import Bucket, Example, GateResult, ReportData
from drq_spark.report.verdict import capacity_parts
from drq_spark.schemas import Reason
from drq_spark.tokenizer.keys import codes_to_tokens

MISSING = "–"
_LONGEST_NAME = 160
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
_SHARES = {
    Metric.QUARANTINE_RATE,
    Metric.UTILIZATION,
    Metric.DUPLICATE_RATE,
    Metric.SHARED_RATE,
    Metric.EXACT_DUPLICATE_RATE,
    Metric.EXCESS_DUPLICATE_RATE,
    Metric.RESIDUAL_SHARE,
    Metric.UNCERTAIN_SHARE,
    Metric.CHURN,
    Metric.CHURN_MATCHED,
    Metric.HARMFUL_SHARED_RATE,
}


def figure(data: ReportData, metric: Metric, level: int = 0, weighting: str = ITEMS, eta: float | None = None) -> str:
    """The figure as text, `MISSING` where the run has none."""
    value = data.figures.value(metric, level, weighting, eta)
    if value is None:
        return MISSING
    return percent(value) if metric in _SHARES else number(value)


def gate_value(result: GateResult) -> str:
    """The figure that a gate rule judged, in the unit of the rule's bounds, and its level."""
    value = finite(result.value)
    if value is None:
        return "no such figure"
    return f"{number(value)}{f' at level {result.level}' if result.level else ''}"


def cards(data: ReportData) -> list[Fact]:
    """Key figures."""
    unique = data.figures.value(Metric.DUPLICATE_RATE)
    error = data.figures.value(Metric.RELATIVE_MSE)
    lost = sum(data.quarantine.values())
    parts = [capacity_parts(data, level) for level in data.levels]
    kept = [whole_percent(part[0] * part[1]) if part else MISSING for part in parts]
    dead = data.figures.per_level(Metric.DEAD_CODES, len(data.codebook_sizes))
    found = [
        Fact("Items with a SID", number(data.rows_out), f"of {number(data.rows_in)} input rows"),
        unique is not None
        and Fact("Unique SIDs", percent(1 - unique), f"{figure(data, Metric.UNIQUE_SIDS)} SIDs, as a share of items"),
        any(parts)
        and Fact(
            "Capacity left, K_eff / K",
            f"{' · '.join(kept)}{NBSP}%",
            f"levels 1 to {len(kept)}, η = {number(data.headline_eta)}",
        ),
        error is not None and Fact("Relative MSE", number(error), "0 is perfect, 1 is no better than the average item"),
        None not in dead
        and Fact(
            "Dead codes", number(sum(filter(None, dead))), f"of {number(sum(data.codebook_sizes))} codes on all levels"
        ),
        Fact(
            "Quarantined",
            number(lost),
            f"{percent(lost / data.rows_in) if data.rows_in else MISSING} of input rows got no SID",
        ),
    ]
    return [fact for fact in found if fact]


def level_table(data: ReportData, weighting: str) -> Table | None:
    """Usage and capacity of every level; figures that no level has leave no column."""
    columns: list[tuple[str, Metric, float | None]] = [
        ("in use", Metric.UTILIZATION, None),
        ("dead codes", Metric.DEAD_CODES, None),
        ("Gini", Metric.GINI, None),
        ("perplexity", Metric.PERPLEXITY, None),
        ("inverse Simpson", Metric.INVERSE_SIMPSON, None),
        ("O_π", Metric.EXPECTED_OVERLAP, data.headline_eta),
        ("K_eff", Metric.EFFECTIVE_CAPACITY, data.headline_eta),
        ("D", Metric.DISTRIBUTION, None),
        ("G", Metric.GEOMETRY, data.headline_eta),
    ]
    sizes = [("K", [number(size) for size in data.codebook_sizes])]
    at_eta = [(metric, level) for _, metric, eta in columns if eta for level in data.levels]
    scaled = any(figure(data, *place, weighting, data.headline_eta) != MISSING for place in at_eta)
    caption = f"By {weighting}, at η = {number(data.headline_eta)}; K_eff = K · D · G" if scaled else f"By {weighting}"
    return _by_level(data, caption, columns, weighting, sizes)


def entropy_table(data: ReportData, weighting: str) -> Table | None:
    """Prefix entropies of every level, in nats."""
    columns: list[tuple[str, Metric, float | None]] = [
        ("H(code | before)", Metric.CONDITIONAL_ENTROPY, None),
        ("H(prefix)", Metric.PREFIX_ENTROPY, None),
        ("prefixes in use", Metric.OCCUPIED_PREFIXES, None),
    ]
    most = [f"{np.log(size):.3g}" for size in data.codebook_sizes]
    return _by_level(data, f"Information by {weighting}, in nats", columns, weighting, [("ln K", most)])


def margin_table(data: ReportData) -> Table | None:
    """How sure the assignment was, per level."""
    columns: list[tuple[str, Metric, float | None]] = [
        ("left unexplained", Metric.RESIDUAL_SHARE, None),
        ("mean margin", Metric.MEAN_MARGIN, None),
        ("decided in float64", Metric.UNCERTAIN_SHARE, None),
    ]
    return _by_level(data, "Per level", columns, ITEMS, [])


def churn_table(data: ReportData) -> Table | None:
    """Items whose code changed, per level."""
    columns: list[tuple[str, Metric, float | None]] = [
        ("code changed", Metric.CHURN, None),
        ("really moved", Metric.CHURN_MATCHED, None),
    ]
    return _by_level(data, "Changed since the previous run", columns, ITEMS, [])


def _by_level(
    data: ReportData,
    caption: str,
    columns: Sequence[tuple[str, Metric, float | None]],
    weighting: str,
    given: Sequence[tuple[str, list[str]]],
) -> Table | None:
    filled = []
    for head, metric, eta in columns:
        cells = [figure(data, metric, level, weighting, eta) for level in data.levels]
        if set(cells) != {MISSING}:
            filled.append((head, cells))
    if not filled:
        return None
    both = [*given, *filled]
    rows = zip([f"Level {level}" for level in data.levels], *(cells for _, cells in both), strict=True)
    return Table(caption, ("", *(head for head, _ in both)), tuple(rows))


def collision_facts(data: ReportData) -> list[Fact]:
    """What became of SIDs that more than one item has."""
    words = [
        (Metric.UNIQUE_SIDS, "Unique SIDs", "different SIDs in use"),
        (Metric.DUPLICATE_RATE, "Surplus items", "1 − unique SIDs / items: would have to go for all SIDs to differ"),
        (
            Metric.EXACT_DUPLICATE_RATE,
            "Exact duplicates",
            "1 − different embeddings / items: the least surplus possible",
        ),
        (
            Metric.EXCESS_DUPLICATE_RATE,
            "Surplus the tokenizer adds",
            "the difference of the two: this part can be improved",
        ),
        (Metric.SHARED_RATE, "Items that share a SID", "some other item has the same one"),
        (
            Metric.HARMFUL_SHARED_RATE,
            "Items that share a SID with another embedding",
            "the harmful part of that: copies of an item may share one",
        ),
        (
            Metric.BUCKET_SPREAD,
            "Spread inside buckets",
            "how far the items of one SID lie apart: 0 where only copies share one",
        ),
        (Metric.LARGEST_BUCKET, "Largest bucket", "items behind the most crowded SID"),
        (Metric.COLLISION_MASS, "Collision mass", "chance that two items drawn at random have the same SID"),
    ]
    facts = [Fact(term, value, text) for metric, term, text in words if (value := figure(data, metric)) != MISSING]
    shown = figure(data, Metric.COLLISION_MASS, weighting=EXPOSURE)
    if shown != MISSING:
        facts.append(Fact("Collision mass by exposure", shown, "the same, for two items as users meet them"))
    return facts


def fidelity_facts(data: ReportData) -> list[Fact]:
    """How well embeddings can be rebuilt from their SIDs."""
    words = [
        (
            Metric.RELATIVE_MSE,
            "Relative MSE",
            "squared error over variance: 0 is perfect, 1 no better than the average item",
        ),
        (Metric.MEAN_COSINE, "Mean cosine", "between an embedding and its reconstruction: 1 is the same direction"),
    ]
    return [Fact(term, figure(data, metric), text) for metric, term, text in words if figure(data, metric) != MISSING]


def sid(name: str, codes: Sequence[int], shared: int = 0) -> Sid:
    """An item and its tokens `<a_12><b_3>`; an endless name is cut."""
    short = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
    return Sid(short, tuple(re.findall("<[^>]*>", codes_to_tokens(np.array([codes]))[0])), shared)


def example(item: Example) -> tuple[Sid, list[Sid]]:
    """An item with its neighbours in SID space."""
    return sid(item.name, item.codes), [sid(near.name, near.codes, near.shared) for near in item.neighbours]


def bucket(entry: Bucket) -> tuple[Sid, str, str, str, list[str]]:
    """SID, items, exposure, what the items are, and names of some."""
    if entry.distinct_embeddings is None:
        kind = MISSING
    elif entry.distinct_embeddings == 1:
        kind = "exact duplicates"
    elif entry.distinct_embeddings == entry.items:
        kind = "all different"
    else:
        kind = f"{number(entry.distinct_embeddings)} different"
    names = [sid(name, entry.codes).name for name in entry.names]
    exposure = finite(entry.exposure)
    return sid("", entry.codes), number(entry.items), MISSING if exposure is None else number(exposure), kind, names


def quarantine(data: ReportData) -> list[Meter]:
    """Rows without a SID by reason, most frequent first."""
    known = {reason.value: text for reason, text in _REASONS.items()}
    counts = sorted(((count, reason) for reason, count in data.quarantine.items() if count), reverse=True)
    return _meters([(f"{known.get(reason, reason)} ({reason})", count) for count, reason in counts], number)


def step_times(data: ReportData) -> list[Meter]:
    """Wall-clock time per step."""
    return _meters([(step, seconds) for step, seconds in data.seconds.items() if finite(seconds) is not None], duration)


def _meters(values: Sequence[tuple[str, float]], text: Callable[[float], str]) -> list[Meter]:
    most = max((value for _, value in values), default=0) or 1
    return [Meter(label, text(value), round(value / most, 4)) for label, value in values]


def settings(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Nested settings as (dotted key, text) in their order."""
    lines: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            lines += [(f"{key}.{rest}", text) for rest, text in settings(value)]
        else:
            lines.append(
                (str(key), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
            )
    return lines


def all_figures(data: ReportData) -> Table:
    """The rows of the metrics table as they are, for whoever writes gate rules."""
    rows = tuple(
        (
            row.metric,
            str(row.level),
            row.weighting,
            MISSING if row.eta is None else number(row.eta),
            row.ruler or MISSING,
            f"{row.value:.6g}",
            MISSING if finite(row.standard_error) is None else f"{row.standard_error:.2g}",
        )
        for row in data.metrics
        if finite(row.value) is not None
    )
    head = ("metric", "level", "weighting", "η or ρ", "noise on", "value", "standard error")
    return Table("Every figure of the run", head, rows)
