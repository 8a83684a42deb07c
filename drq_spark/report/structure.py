"""What the page says of the shape of the codes: overlaps, prefixes, segments of the catalogue, attributes."""

from __future__ import annotations

from typing import Any

from drq_spark.metrics import Metric
from drq_spark.page.drawing import MARKS, Dot, dot_rows
from drq_spark.page.elements import Chart, Fact, Table
from drq_spark.page.numbers import finite, number, three_digits
from drq_spark.report import maps
from drq_spark.report.cells import MISSING, figure
from drq_spark.report.data import Gain, ReportData

_SEGMENTS = ("head", "torso", "tail")
_GAINS = (
    ("plug_in", "gain", "plug-in"),
    ("grassberger", "gain", "corrected (Grassberger)"),
    ("plug_in", "permuted_gain", "permuted, plug-in"),
)  # estimator and field of the dots
_USE = ((Metric.UTILIZATION, "Codes in use"), (Metric.PERPLEXITY, "Perplexity"))


def parts(data: ReportData) -> dict[str, Any]:
    """Template values; a part without figures is empty."""
    return {
        "overlaps": [
            maps.overlap(level, data.codebook_sizes[level - 1], matrix, data.headline_eta)
            for level, matrix in enumerate(data.overlap, 1)
            if len(matrix)
        ],
        "overlap_key": maps.shades(),
        "tree": maps.icicle(data.tree, data.rows_out, data.codebook_sizes[0]) if _has_children(data) else None,
        "segments": _segments(data),
        "segment_facts": _thresholds(data),
        "gains": [chart for step in sorted({gain.step for gain in data.gains}) if (chart := _gains(data, step))],
        "gain_table": _gain_table(data),
    }


def _has_children(data: ReportData) -> bool:
    return bool(data.rows_out) and any(branch.children for branch in data.tree)


def _segments(data: ReportData) -> list[Table]:
    """Use of the codes by much, fairly and hardly exposed items, a table a figure."""
    tables = []
    for metric, words in _USE:
        rows = [(level, [figure(data, metric, level, segment) for segment in _SEGMENTS]) for level in data.levels]
        if any(cell != MISSING for _, cells in rows for cell in cells):
            body = tuple((f"Level {level}", figure(data, metric, level), *cells) for level, cells in rows)
            tables.append(Table(f"{words} by segment", ("", "all items", *_SEGMENTS), body))
    return tables


def _thresholds(data: ReportData) -> list[Fact]:
    """From which exposure on an item is in a segment."""
    found = ((segment, figure(data, Metric.SEGMENT_THRESHOLD, 0, segment)) for segment in _SEGMENTS)
    return [
        Fact(f"{segment.capitalize()} from", least, "exposure of an item, at least")
        for segment, least in found
        if least != MISSING
    ]


def _gains(data: ReportData, step: int) -> Chart | None:
    """Of one attribute: plug-in, corrected and permuted gain per level."""
    here = [gain for gain in data.gains if gain.step == step]
    rows = []
    for level in data.levels:
        at = {gain.estimator: gain for gain in here if gain.level == level}
        shown = [
            (kind, getattr(at[estimator], name)) for kind, (estimator, name, _) in enumerate(_GAINS) if estimator in at
        ]
        dots = [Dot(value, None, kind) for kind, value in shown if finite(value) is not None]
        if dots:
            rows.append((f"level {level}", dots))
    if not rows:
        return None
    highest = max(dot.value for _, dots in rows for dot in dots)
    words = "; ".join(f"{row} {', '.join(f'{dot.value:.3g}' for dot in dots)}" for row, dots in rows)
    before = f", beyond {here[0].step - 1} attribute{'s' * (here[0].step > 2)} before" if step > 1 else ""
    return Chart(
        f"What “{here[0].attribute}” tells of the codes{before}",
        "Nats by which the code becomes less uncertain, given the codes before it. The permuted attribute tells "
        "nothing, so what it seems to gain is chance: only what the corrected gain has beyond 0 is real.",
        dot_rows(
            rows, f"gains-{step}", f"Gain of attribute {step} in nats, plug-in, corrected, permuted: {words}",
            (0.0, max(highest, 0.1)), number, left=74,
        ),
        tuple((mark.colour, meaning, mark.sign) for mark, (_, _, meaning) in zip(MARKS, _GAINS, strict=False)),
    )  # fmt: skip


def _gain_table(data: ReportData) -> Table | None:
    if not data.gains:
        return None
    head = ("Attribute", "level", "estimator", "H(code | before, known)", "gain", "permuted", "gain − permuted")
    return Table("Gains of the attributes, in nats", head, tuple(_gain_row(gain) for gain in data.gains))


def _gain_row(gain: Gain) -> tuple[str, ...]:
    numbers = (gain.conditional_entropy, gain.gain, gain.permuted_gain, gain.gain - gain.permuted_gain)
    cells = (MISSING if finite(value) is None else three_digits(value) for value in numbers)
    return (gain.attribute, str(gain.level), gain.estimator.replace("_", "-"), *cells)
