"""One chart of each kind, and where its golden drawing lies: a file for each minor version of matplotlib.

`python tests/page/golden_charts.py` writes the drawings of the version that is installed. Look at them in a browser,
and at the regular expressions of `drq_spark.page.svg`, before they are committed.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from drq_spark.page.drawing import Dot, Row, bar_rows, dot_rows, even_steps, right_labels, set_ticks, steps
from drq_spark.page.numbers import number, percent
from drq_spark.page.svg import axes, colour, drawing, inline

FOLDER = Path(__file__).parent / "golden"
VERSION = ".".join(mpl.__version__.split(".")[:2])


def bars():
    rows = [
        Row("level 1", ((0.5, "effective"), (0.25, ""), (0.25, "close")), "50 %"),
        Row("<b>", ((0.1, "uneven"),), "10 % & more"),
    ]
    return bar_rows(rows, "bars", "Bars: 50 % and 10 %", limit=1.0)


def dots():
    rows = [("raw", [Dot(0.5, 0.1), Dot(0.9, None, 1)]), ("SID", [Dot(0.4, 0.05, 2), Dot(0.6, 0.01, 3)])]
    return dot_rows(rows, "dots", "Dots: 0.5 and 0.4", (0.0, 1.0), number, (0.5, "chance"))


def curves():
    drawn = axes(200, left=46, right=60)
    drawn.set(xscale="log", yscale="log", xlim=(0.1, 1), ylim=(0.01, 1.25))
    drawn.axvline(0.5, color=colour("muted"), linewidth=1, dashes=(4, 3))
    for level, marker in ((1, "o"), (2, "s")):
        drawn.plot(
            [0.1, 0.2, 1.0], [1.0, 0.5, 0.1 / level], color=colour(f"level-{level}"), marker=marker, clip_on=False
        )
    right_labels(drawn, [("level 1", 1.0, 0.1, "level-1"), ("level 2", 1.0, 0.09, "level-2")])
    set_ticks(drawn.xaxis, [0.1, 0.2, 1.0], number)
    set_ticks(drawn.yaxis, steps(*drawn.get_ylim()), percent)
    drawn.set_xlabel("η", color=colour("muted"))
    return inline(drawn, "curves", "Two falling curves")


def points():
    drawn = axes(260, left=46, right=92, bottom=38)
    drawn.set(xlim=(0.2, 0.9), ylim=(0.1, 0.6))
    for x, y, shape in ((0.3, 0.5, "D"), (0.8, 0.2, "o")):
        drawn.plot([x], [y], color=colour("effective"), marker=shape, markersize=8, zorder=3)
    right_labels(drawn, [("drq", 0.3, 0.5, "ink"), ("rq_kmeans", 0.8, 0.2, "muted")], gap=9)
    set_ticks(drawn.xaxis, even_steps(*drawn.get_xlim()), number)
    set_ticks(drawn.yaxis, even_steps(*drawn.get_ylim()), number)
    return inline(drawn, "points", "Two points")


CHARTS = {chart.__name__: chart for chart in (bars, dots, curves, points)}


def drawn(name: str) -> str:
    """The chart of this name as it is drawn now."""
    with drawing():
        return str(CHARTS[name]()) + "\n"


def golden(name: str) -> Path:
    """Where the chart of this name lies, as it was when someone looked at it."""
    return FOLDER / f"{name}-matplotlib-{VERSION}.svg"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for chart in CHARTS:
        golden(chart).write_text(drawn(chart), encoding="utf-8")
