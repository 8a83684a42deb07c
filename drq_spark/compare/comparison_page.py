"""A comparison as one HTML page: the table, the front on the three axes, and how to read both."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from drq_spark.compare.standing import Cell, Column, Comparison
from drq_spark.page.drawing import even_steps, right_labels, set_ticks
from drq_spark.page.elements import Chart
from drq_spark.page.environment import environment
from drq_spark.page.numbers import number, three_decimals
from drq_spark.page.svg import TEXT, axes, colour, drawing, inline

_MISSING = "–"
_HEIGHT = 260  # px of a plot of the front


def render(comparison: Comparison, source: str) -> str:
    """The page; `source` names the catalogue. The same comparison gives the same text."""
    with drawing():
        charts = front_charts(comparison)
    return (
        environment("drq_spark.compare")
        .get_template("compare.html.j2")
        .render(
            comparison=comparison,
            source=source,
            charts=charts,
            rows=rows(comparison),
            winners=winners(comparison),
            level_colours=[],
        )
    )


def rows(comparison: Comparison) -> list[tuple[str, list[tuple[str, bool]]]]:
    """The columns of the comparison as rows of the page: title, then text and whether it wins for every tokenizer."""
    return [
        (
            f"{column.title} {'↑' if column.better == 'high' else '↓'}",
            [_cell(comparison, name, column) for name in comparison.names],
        )
        for column in comparison.columns
    ]


def _cell(comparison: Comparison, name: str, column: Column) -> tuple[str, bool]:
    cell = comparison.cells.get((name, column.key))
    return cell_text(cell), cell is not None and cell.winner


def cell_text(cell: Cell | None) -> str:
    """Means by level, or the mean and the spread over the seeds.

    >>> cell_text(Cell((0.123, 0.2), (0.16,), False))
    '.123 .200'
    """
    if cell is None:
        return _MISSING
    shown = " ".join(three_decimals(value) for value in cell.shown)
    if len(cell.shown) > 1 or len(cell.judged) < 2:
        return shown
    return f"{shown} ± {three_decimals(float(np.std(cell.judged, ddof=1)))}"


def winners(comparison: Comparison) -> list[str]:
    """A sentence for every tokenizer that wins something."""
    won = {
        name: [column.title for column in comparison.columns if _cell(comparison, name, column)[1]]
        for name in comparison.names
    }
    return [f"{name} is ahead in {', '.join(titles)}." for name, titles in won.items() if titles]


def front_charts(comparison: Comparison) -> list[Chart]:
    """A plot for every pair of measured axes of quality."""
    present = [column for column in comparison.columns if column.axis is not None]
    return [_front_chart(comparison, x, y) for y, x in combinations(_reconstruction_last(present), 2)]


def _reconstruction_last(columns: Sequence[Column]) -> list[Column]:
    """The columns with reconstruction as the last, so that the error is on the x axis wherever it is shown."""
    return sorted(columns, key=lambda column: column.axis == "reconstruction")


def _front_chart(comparison: Comparison, x: Column, y: Column) -> Chart:
    both = [
        (name, comparison.cells[name, x.key].mean, comparison.cells[name, y.key].mean)
        for name in comparison.names
        if (name, x.key) in comparison.cells and (name, y.key) in comparison.cells
    ]
    drawn = axes(_HEIGHT, left=46, right=92, top=12, bottom=38)
    xs, ys = np.array([place[1] for place in both]), np.array([place[2] for place in both])
    drawn.set(xlim=_around(xs), ylim=_around(ys))
    for name, a, b in both:
        ahead = name in comparison.front
        style: dict[str, Any] = {"color": colour("effective" if ahead else "muted"), "zorder": 3}
        drawn.plot([a], [b], marker="D" if ahead else "o", markersize=8 if ahead else 6, **style)
    names = [(name, a, b, "ink" if name in comparison.front else "muted") for name, a, b in both]
    right_labels(drawn, names, gap=9)
    set_ticks(drawn.xaxis, even_steps(*drawn.get_xlim()), number)
    set_ticks(drawn.yaxis, even_steps(*drawn.get_ylim()), number)
    drawn.set_xlabel(f"{x.title} ({_direction(x)})", size=TEXT, color=colour("muted"), labelpad=2)
    words = "; ".join(f"{name} {x.title} {number(a)}, {y.title} {number(b)}" for name, a, b in both)
    return Chart(
        f"{y.title} ({_direction(y)}) against {x.title}",
        "",
        inline(drawn, f"front-{x.key}-{y.key}", words),
    )


def _direction(column: Column) -> str:
    return "higher is better" if column.better == "high" else "lower is better"


def _around(values: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    """Limits with room on both sides."""
    low, high = float(values.min()), float(values.max())
    room = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room
