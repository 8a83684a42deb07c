"""How the codes of each level are used, by all items and by much, fairly and hardly exposed ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from drq_spark.metrics import Metric
from drq_spark.page.drawing import set_ticks, steps
from drq_spark.page.elements import Chart, Fact, Table
from drq_spark.page.numbers import number
from drq_spark.page.svg import TEXT, axes, colour, inline
from drq_spark.report.cells import MISSING, figure
from drq_spark.report.data import ReportData

_POINTS = 160  # of one curve: a finer one would not look different
Counts = NDArray[np.int64] | NDArray[np.float64]
_SEGMENTS = ("head", "torso", "tail")
_USE = ((Metric.UTILIZATION, "Codes in use"), (Metric.PERPLEXITY, "Perplexity"))


def parts(data: ReportData) -> dict[str, Any]:
    """What the section shows, by the names in its template."""
    return {
        "usage": _usage(data),
        "usage_by_exposure": any(use.exposure is not None and use.exposure.sum() > 0 for use in data.usage),
        "segments": _segments(data),
        "segment_facts": _thresholds(data),
    }


def _usage(data: ReportData) -> list[Chart]:
    lowest = lowest_ratio([counts for use in data.usage for counts in (use.items, use.exposure) if counts is not None])
    return [_usage_of_level(level, use.items, use.exposure, lowest) for level, use in enumerate(data.usage, 1)]


def _usage_of_level(level: int, items: NDArray[np.int64], exposure: NDArray[np.float64] | None, lowest: float) -> Chart:
    drawn = usage_axes(items, exposure, lowest)
    unused = int((items == 0).sum())
    words = (
        f"{number(unused)} of {number(len(items))} codes unused" if unused else f"all {number(len(items))} codes in use"
    )
    most = number(_ratios(items).max())
    label = f"Level {level}: codes sorted by use; {words}, the most used holds {most} times the even share"
    return Chart(f"Level {level}: {words}", "", inline(drawn, f"usage-{level}", label))


def usage_axes(items: NDArray[np.int64], exposure: NDArray[np.float64] | None, lowest: float) -> Axes:
    """Codes of a level from the most to the least used, as multiples of even use; `lowest` is the foot of the axis."""
    drawn = axes(190, left=46, top=12)
    drawn.set(yscale="log", xlim=(0, 1), ylim=(lowest, max(2.0, 1.25 * max(_ratios(items).max(), 1.0))))
    if exposure is not None and exposure.sum() > 0:
        drawn.set_ylim(top=max(drawn.get_ylim()[1], 1.25 * _ratios(exposure).max()))
        _curve(drawn, _ratios(exposure), "exposure", 1.4, "by exposure")
    _curve(drawn, _ratios(items), "effective", 2.2, "by items")
    drawn.axhline(1.0, color=colour("muted"), linewidth=1, dashes=(4, 3))
    drawn.annotate(
        "even use", (1, 1), (-2, 4), textcoords="offset points", ha="right", color=colour("muted"), size=TEXT
    )
    set_ticks(
        drawn.yaxis, [place for place in steps(*drawn.get_ylim()) if place > lowest], lambda value: f"{number(value)}×"
    )
    set_ticks(drawn.xaxis, [0, 0.25, 0.5, 0.75, 1], lambda value: f"{100 * value:.0f} %")
    drawn.set_xlabel(f"share of the {number(len(items))} codes", size=TEXT, color=colour("muted"), labelpad=2)
    return drawn


def lowest_ratio(all_counts: Sequence[Counts]) -> float:
    """Foot of the axis for all levels: the decade below the least used code, at most four below even use."""
    least = min((float(_ratios(c)[_ratios(c) > 0].min()) for c in all_counts if c.sum() > 0), default=0.1)
    return float(10.0 ** np.floor(np.log10(min(max(least, 1.001e-4), 0.5))))


def _ratios(counts: Counts) -> NDArray[np.float64]:
    """Use as multiples of even use, most used first; zeros where nothing is counted."""
    ordered = np.sort(counts.astype(np.float64))[::-1]
    return np.asarray(ordered * len(ordered) / max(ordered.sum(), 1e-300))


def _curve(drawn: Axes, ratios: NDArray[np.float64], name: str, width: float, label: str) -> None:
    """A falling curve over the used codes, thinned out, that drops to the foot where the used codes end."""
    used = int((ratios > 0).sum())
    if not used:
        return
    kept = np.unique(np.concatenate([np.linspace(0, used - 1, _POINTS), np.geomspace(1, used, 24) - 1]).astype(int))
    x = [0.0, *((kept + 0.5) / len(ratios)), used / len(ratios), used / len(ratios)]
    y = [ratios[0], *ratios[kept], ratios[used - 1], drawn.get_ylim()[0] / 10]
    drawn.plot(x, y, color=colour(name), linewidth=width, solid_joinstyle="round", label=label)


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
