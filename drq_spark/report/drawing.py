"""Parts that several charts are made of: rows of bars, ticks, labels at the ends of curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis, YAxis
from matplotlib.ticker import FixedLocator, NullLocator

from drq_spark.report.svg import TEXT, WIDTH, axes, colour, inline

_ROW = 30  # px of a row of bars
_LABEL = 58  # px for the names of rows
_LINE = 13  # px between two labels, at least


@dataclass(frozen=True)
class Row:
    """A row of bars: the segments from left to right as (length, colour), and what is written at the end."""

    label: str
    segments: tuple[tuple[float, str], ...]
    text: str


def bar_rows(rows: Sequence[Row], name: str, label: str, right: float = 60, limit: float | None = None) -> Markup:
    """Horizontal stacked bars from the top down, one label before and one text behind each.

    Args:
        rows: the bars. name, label: see `svg.inline`. right: px for the texts. limit: length of a full bar.
    """
    drawn = axes(_ROW * len(rows) + 8, left=_LABEL, right=right, top=4, bottom=4)
    longest = limit or max(max(sum(length for length, _ in row.segments) for row in rows), 1e-9)
    drawn.set(xlim=(0, longest), ylim=(len(rows) - 0.5, -0.5))
    drawn.set_axis_off()
    for place, row in enumerate(rows):
        start = 0.0
        for length, name_of_colour in row.segments:
            drawn.barh(place, length, left=start, height=0.6, color=colour(name_of_colour))
            start += length
        _write(drawn, -8, place, row.label, "right", "muted")
        _write(drawn, WIDTH - _LABEL - right + 8, place, row.text, "left", "ink")
    return inline(drawn, name, label)


def _write(drawn: Axes, x: float, row: float, text: str, align: str, name: str) -> None:
    """Text `x` px from the left edge of the axes, at the height of a row."""
    drawn.annotate(
        text,
        (0, row),
        (x, 0),
        xycoords=drawn.get_yaxis_transform(),
        textcoords="offset points",
        ha=align,
        va="center",
        color=colour(name),
        size=TEXT,
        annotation_clip=False,
    )


def set_ticks(axis: Axis, places: Sequence[float], text: Callable[[float], str]) -> None:
    """Ticks at these places and nowhere else; on a y axis with faint lines across."""
    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_minor_locator(NullLocator())
    axis.set_ticklabels([text(place) for place in places])
    if isinstance(axis, YAxis):
        axis.grid(color=colour("line"), linewidth=0.8)


def steps(low: float, high: float) -> list[float]:
    """Round places on a logarithmic axis: steps 1, 2, 5; where the range is wide 1, 3, or decades only."""
    decades = np.log10(high / low)
    digits = (1, 2, 5) if decades < 1.4 else (1, 3) if decades < 2.6 else (1,)
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    places = [digit * 10.0**exponent for exponent in range(first, last + 1) for digit in digits]
    return [float(f"{place:.1g}") for place in places if low <= place <= high]


def end_labels(drawn: Axes, labels: Sequence[tuple[str, float, str]]) -> None:
    """Name curves at their right ends; labels (text, y, colour) move apart where they would touch."""
    low, high = drawn.transLimits.inverted().transform([(0, 0), (0, 1)])[:, 1]
    height = drawn.get_position().height * drawn.get_figure(root=True).get_size_inches()[1] * 72  # type: ignore[union-attr]
    ordered = sorted(labels, key=lambda label: label[1])
    pixels = [float((np.log10(y) - low) / (high - low) * height) for _, y, _ in ordered]
    for (text, y, name), natural, placed in zip(ordered, pixels, _spread(pixels), strict=True):
        drawn.annotate(
            text,
            (1, y),
            (8, placed - natural),
            xycoords=drawn.get_yaxis_transform(),
            textcoords="offset points",
            va="center",
            color=colour(name),
            size=TEXT,
            annotation_clip=False,
        )


def _spread(pixels: Sequence[float]) -> list[float]:
    """Move ascending positions apart to at least `_LINE` px, upwards first, then back so that groups stay centred."""
    placed = list(pixels)
    for _ in range(len(placed)):
        for lower in range(len(placed) - 1):
            missing = _LINE - (placed[lower + 1] - placed[lower])
            if missing > 0:
                placed[lower] -= missing / 2
                placed[lower + 1] += missing / 2
    return placed
