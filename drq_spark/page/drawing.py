"""Parts that several charts are made of: rows of bars and of dots, ticks, labels at the ends of curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis, YAxis
from matplotlib.ticker import FixedLocator, NullLocator

from drq_spark.page.svg import TEXT, WIDTH, axes, colour, inline

_ROW = 30  # px of a row of bars
_LABEL = 58  # px for the names of rows
_LINE = 13  # px between two labels, at least


@dataclass(frozen=True)
class Row:
    """A row of bars: the segments from left to right as (length, colour; "" for a gap), and the text at the end."""

    label: str
    segments: tuple[tuple[float, str], ...]
    text: str


@dataclass(frozen=True)
class Mark:
    """How one kind of dot looks: by shape as well as by colour."""

    colour: str
    shape: str
    sign: str


MARKS = (Mark("effective", "o", "●"), Mark("close", "D", "◆"), Mark("exposure", "^", "▲"), Mark("ink", "s", "■"))


@dataclass(frozen=True)
class Dot:
    """A figure with its standard error (None where it is exact); `kind` is its place in `MARKS`."""

    value: float
    error: float | None
    kind: int = 0


def bar_rows(
    rows: Sequence[Row],
    name: str,
    label: str,
    right: float = 60,
    limit: float | None = None,
    left: float = _LABEL,
    pitch: float = _ROW,
) -> Markup:
    """Horizontal stacked bars from the top down, one label before and one text behind each.

    Args:
        rows: The bars.
        name: See `svg.inline`.
        label: See `svg.inline`.
        right: px for the texts behind the bars.
        limit: Length of a full bar; that of the longest without it.
        left: px for the labels.
        pitch: px of a row.
    """
    return inline(bars(rows, right, limit, left, pitch), name, label)


def bars(
    rows: Sequence[Row], right: float = 60, limit: float | None = None, left: float = _LABEL, pitch: float = _ROW
) -> Axes:
    """The bars of `bar_rows`, drawn."""
    drawn = axes(pitch * len(rows) + 8, left=left, right=right, top=4, bottom=4)
    longest = limit or max(max(sum(length for length, _ in row.segments) for row in rows), 1e-9)
    drawn.set(xlim=(0, longest), ylim=(len(rows) - 0.5, -0.5))
    drawn.set_axis_off()
    for place, row in enumerate(rows):
        start = 0.0
        for length, name_of_colour in row.segments:
            if name_of_colour:
                drawn.barh(place, length, left=start, height=0.6, color=colour(name_of_colour))
            start += length
        _write(drawn, -8, place, row.label, "right", "muted")
        _write(drawn, WIDTH - left - right + 8, place, row.text, "left", "ink")
    return drawn


def dot_rows(
    rows: Sequence[tuple[str, Sequence[Dot]]],
    name: str,
    label: str,
    limits: tuple[float, float],
    text: Callable[[float], str],
    reference: tuple[float, str] | None = None,
    left: float = 96,
) -> Markup:
    """Rows of dots on one axis, each with a bar of two standard errors to both sides.

    Args:
        rows: (label, dots) from the top down.
        name: See `svg.inline`.
        label: See `svg.inline`.
        limits: Ends of the axis, widened where a bar would leave it.
        text: Gives the text of a tick.
        reference: A place on the axis with its name.
        left: px for the labels.
    """
    height = 26 * len(rows) + 50
    drawn = axes(height, left=left, right=14, top=16 if reference else 6, bottom=26)
    ends = [place for _, dots in rows for dot in dots for place in _bar(dot)]
    low, high = min(limits[0], *ends), max(limits[1], *ends)
    room = 0.03 * (high - low)
    drawn.set(xlim=(low - room, high + room), ylim=(len(rows) - 0.5, -0.5), yticks=[])
    set_ticks(drawn.xaxis, even_steps(low, high), text)
    if reference is not None:
        place, meaning = reference
        drawn.axvline(place, color=colour("muted"), linewidth=1, dashes=(4, 3))
        drawn.annotate(
            meaning, (place, 1), (0, 4), xycoords=drawn.get_xaxis_transform(), textcoords="offset points",
            ha="center", color=colour("muted"), size=TEXT,
        )  # fmt: skip
    for row, (words, dots) in enumerate(rows):
        drawn.axhline(row, color=colour("line"), linewidth=0.8)
        _write(drawn, -8, row, words, "right", "muted")
        for dot, shift in zip(dots, _shifts(len(dots)), strict=True):
            mark = MARKS[dot.kind]
            if dot.error:
                drawn.plot(_bar(dot), [row + shift] * 2, color=colour(mark.colour), linewidth=1.4)
            drawn.plot(dot.value, row + shift, mark.shape, color=colour(mark.colour), markersize=6, clip_on=False)
    return inline(drawn, name, label)


def spoken(dot: Dot, text: Callable[[float], str]) -> str:
    """A dot in words: the value, with its standard error where it has one."""
    return text(dot.value) + (f" ± {dot.error:.2g}" if dot.error else "")


def _bar(dot: Dot) -> tuple[float, float]:
    reach = 2 * (dot.error or 0.0)
    return dot.value - reach, dot.value + reach


def _shifts(dots: int) -> list[float]:
    """Places of the dots of a row around its middle, so that their bars do not cover each other."""
    return [0.22 * (place - (dots - 1) / 2) for place in range(dots)]


def _write(drawn: Axes, x: float, row: float, text: str, align: str, name: str) -> None:
    """Write text `x` px from the left edge of the axes, at the height of a row."""
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


def even_steps(low: float, high: float) -> list[float]:
    """Three to seven round places on a linear axis."""
    rough = (high - low) / 4
    unit = 10.0 ** np.floor(np.log10(rough))
    step = min((digit * unit for digit in (1, 2, 5, 10)), key=lambda size: abs(size - rough))
    return [round(float(place), 10) for place in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step]


def right_labels(drawn: Axes, labels: Sequence[tuple[str, float, float, str]], gap: float = 8) -> None:
    """Names `gap` px to the right of points or of the ends of curves, moved apart where they would touch.

    Args:
        drawn: The axes.
        labels: (text, x, y, colour); an x is that of the point, or the right end of the axis.
        gap: px between a point and its name.
    """
    pixels = [float(drawn.transData.transform((x, y))[1]) for _, x, y, _ in labels]
    for (text, x, y, name), natural, placed in zip(labels, pixels, _spread(pixels), strict=True):
        drawn.annotate(
            text,
            (x, y),
            (gap, placed - natural),
            textcoords="offset points",
            va="center",
            color=colour(name),
            size=TEXT,
            annotation_clip=False,
        )


def _spread(pixels: Sequence[float]) -> list[float]:
    """Move positions apart to at least `_LINE` px, in their order, so that groups stay centred."""
    ascending = sorted(range(len(pixels)), key=lambda place: pixels[place])
    placed = list(pixels)
    for _ in range(len(placed)):
        for lower, upper in pairwise(ascending):
            missing = _LINE - (placed[upper] - placed[lower])
            if missing > 0:
                placed[lower] -= missing / 2
                placed[upper] += missing / 2
    return placed
