"""A comparison as one HTML page: the table, the front on the three axes, and how to read both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from drq_spark.compare.standing import Cell, Column, Comparison, leads
from drq_spark.page.drawing import even_steps, right_labels, set_ticks
from drq_spark.page.elements import Chart
from drq_spark.page.environment import page
from drq_spark.page.numbers import number, three_decimals
from drq_spark.page.svg import TEXT, axes, colour, drawing, inline

_MISSING = "–"
_HEIGHT = 260  # px of a plot of the front


def render(comparison: Comparison, source: str) -> str:
    """The page; `source` names the catalogue. The same comparison gives the same text."""
    with drawing():
        charts = front_charts(comparison)
    return page(
        "compare",
        "compare",
        comparison=comparison,
        source=source,
        charts=charts,
        rows=rows(comparison),
        pick=pick(comparison),
        winners=winners(comparison),
    )


def rows(comparison: Comparison) -> list[tuple[str, list[tuple[str, bool]]]]:
    """The columns of the comparison as rows of the page: title, then text and whether it wins for every tokenizer."""
    return [
        (
            _title(comparison, column),
            [_cell(comparison, name, column) for name in comparison.names],
        )
        for column in comparison.columns
    ]


def _cell(comparison: Comparison, name: str, column: Column) -> tuple[str, bool]:
    cell = comparison.cells.get((name, column.key))
    return cell_text(cell, number if column.cost else three_decimals), cell is not None and cell.winner


def _title(comparison: Comparison, column: Column) -> str:
    """The heading of a column, which end is good, and the levels that its numbers are of."""
    numbers = max(len(cell.shown) for (_, key), cell in comparison.cells.items() if key == column.key)
    levels = f", levels 1 to {numbers}" if numbers > 1 else ""
    return f"{column.title}{levels} {'↑' if column.better == 'high' else '↓'}"


def cell_text(cell: Cell | None, text: Callable[[float], str] = three_decimals) -> str:
    """Means by level, or the mean and the spread over the seeds; `text` writes one number.

    >>> cell_text(Cell((0.123, 0.2), (0.16,), False))
    '.123 .200'
    """
    if cell is None:
        return _MISSING
    shown = " ".join(text(value) for value in cell.shown)
    if len(cell.shown) > 1 or len(cell.judged) < 2:
        return shown
    return f"{shown} ± {text(float(np.std(cell.judged, ddof=1)))}"


def pick(comparison: Comparison) -> str:
    """The tokenizer to take, in a sentence: that with the best mean in most figures; none where two have as many."""
    found = leads(comparison)
    counts = [len(columns) for columns in found.values()]
    if not counts or counts[1:2] == counts[:1]:
        return ""
    name, of = next(iter(found)), sum(counts)
    return f"Take {name}: it has the best mean in {counts[0]} of {of} figures."


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
    room = [max(_deviation(comparison.cells[place[0], column.key]) for place in both) for column in (x, y)]
    drawn.set(xlim=_around(xs, room[0]), ylim=_around(ys, room[1]))
    for name, a, b in both:
        spread = [_deviation(comparison.cells[name, column.key]) for column in (x, y)]
        drawn.errorbar([a], [b], xerr=spread[0], yerr=spread[1], fmt="none", ecolor=colour("muted"), elinewidth=1)
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


def _deviation(cell: Cell) -> float:
    """Standard deviation over the seeds, 0 where there is one."""
    return float(np.std(cell.judged, ddof=1)) if len(cell.judged) > 1 else 0.0


def _direction(column: Column) -> str:
    return "higher is better" if column.better == "high" else "lower is better"


def _around(values: np.ndarray[Any, np.dtype[np.float64]], beside: float) -> tuple[float, float]:
    """Limits with room on both sides, for bars of that length too."""
    low, high = float(values.min()) - beside, float(values.max()) + beside
    room = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room
