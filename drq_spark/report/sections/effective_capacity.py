"""What is left of the capacity of the levels and of whole SIDs, and which codes overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from numpy.typing import NDArray

from drq_spark.metrics import Metric
from drq_spark.page.drawing import Row, bar_rows, bars
from drq_spark.page.elements import Chart, Table
from drq_spark.page.numbers import finite, number, percent, three_digits
from drq_spark.page.svg import WIDTH
from drq_spark.report.cells import MISSING, WEIGHTINGS, figure, table_by_level
from drq_spark.report.data import ReportData

_SHADES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)  # least overlap of each shade; below the first one none
_FAINTEST = 0.12
_PARTNER = 0.1  # overlap that is worth counting
_ROOM = {"left": 74.0, "right": 92.0, "limit": 1.0, "pitch": 18.0}  # of the bars of capacity


def parts(data: ReportData) -> dict[str, Any]:
    """What the section shows, by the names in its template."""
    return {
        "capacity": [chart for name in WEIGHTINGS if (chart := _capacity(data, name))],
        "level_tables": [table for name in WEIGHTINGS if (table := _level_table(data, name))],
        "whole_sentence": _whole_sentence(data),
        "overlaps": [
            overlap(level, data.codebook_sizes[level - 1], matrix, data.headline_eta)
            for level, matrix in enumerate(data.overlap, 1)
            if _closest(matrix) >= _PARTNER
        ],
        "without_overlap": _without_overlap(data),
        "overlap_key": shades(),
    }


def _capacity(data: ReportData, weighting: str) -> Chart | None:
    rows = _levels(data, weighting)
    return _waterfall(rows, weighting, data.headline_eta) if rows else None


def capacity_axes(data: ReportData, weighting: str) -> Axes | None:
    """The chart of the capacity of each level, drawn; None where nothing is known of it."""
    rows = _levels(data, weighting)
    return bars(_bars(rows), **_ROOM) if rows else None


def _levels(data: ReportData, weighting: str) -> list[tuple[int, int, float, float]]:
    """(level, K, D, G) of each level of which they are known."""
    return [
        (level, size, *parts)
        for level, size in enumerate(data.codebook_sizes, 1)
        if (parts := data.capacity_parts(level, weighting)) is not None
    ]


def _bars(rows: Sequence[tuple[int, int, float, float]]) -> list[Row]:
    drawn: list[Row] = []
    for level, size, d, g in rows:
        left = d * g
        drawn += [
            Row(f"level {level}: K", ((1.0, "line"),), number(size)),
            Row("uneven use", ((d, ""), (1 - d, "uneven")), f"− {three_digits(size * (1 - d))}"),
            Row("too close", ((left, ""), (d - left, "close")), f"− {three_digits(size * (d - left))}"),
            Row("K_eff", ((left, "effective"),), f"= {three_digits(size * left)}, {percent(left)}"),
            Row("", (), ""),
        ]
    return drawn[:-1]


def _waterfall(rows: Sequence[tuple[int, int, float, float]], weighting: str, eta: float) -> Chart:
    """From the codes of each level down to what uneven use and closeness leave; a row is (level, K, D, G)."""
    words = "; ".join(
        f"level {level} keeps {percent(d * g)}, {percent(d - d * g)} lost to closeness, {percent(1 - d)} to uneven use"
        for level, _, d, g in rows
    )
    return Chart(
        f"Capacity by {weighting}: what is left of K",
        f"From all K codes of a level to K_eff, the codes that still count at η = {number(eta)}. A long last bar is "
        "good; the longer of the two losses is the one to work on.",
        bar_rows(
            _bars(rows), f"capacity-{weighting}", f"Effective share of the codes by {weighting}: {words}", **_ROOM,
        ),
        (
            ("uneven", "lost to uneven use, unused codes included"),
            ("close", "lost to codewords too close to each other"),
            ("effective", "effective"),
        ),
    )  # fmt: skip


def _level_table(data: ReportData, weighting: str) -> Table | None:
    """Usage and capacity of every level; figures that no level has leave no column."""
    columns: list[tuple[str, Metric, float | None]] = [
        ("in use", Metric.UTILIZATION, None),
        ("dead codes", Metric.DEAD_CODES, None),
        ("Gini", Metric.GINI, None),
        ("perplexity", Metric.PERPLEXITY, None),
        ("inverse Simpson", Metric.INVERSE_SIMPSON, None),
        ("O_π", Metric.EXPECTED_OVERLAP, data.headline_eta),
        ("O_π with prices", Metric.PRICED_OVERLAP, data.headline_eta),
        ("K_eff", Metric.EFFECTIVE_CAPACITY, data.headline_eta),
        ("D", Metric.DISTRIBUTION, None),
        ("G", Metric.GEOMETRY, data.headline_eta),
    ]
    sizes = [("K", [number(size) for size in data.codebook_sizes])]
    at_eta = [(metric, level) for _, metric, eta in columns if eta for level in data.levels]
    scaled = any(figure(data, *place, weighting, data.headline_eta) != MISSING for place in at_eta)
    caption = f"By {weighting}, at η = {number(data.headline_eta)}; K_eff = K · D · G" if scaled else f"By {weighting}"
    return table_by_level(data, caption, columns, weighting, sizes)


def _whole_sentence(data: ReportData) -> str:
    row = data.figures.row(Metric.EFFECTIVE_CAPACITY, eta=data.headline_eta)
    if row is None:
        return ""
    in_use = data.figures.value(Metric.UNIQUE_SIDS)
    error = finite(row.standard_error)
    return (
        f"Whole SIDs work like {three_digits(row.value)}"
        + (f" ± {three_digits(error)} (standard error)" if error else "")
        + f" equally used ones that noise of η = {number(data.headline_eta)} never confuses"
        + (f"; {number(in_use)} are in use." if in_use is not None else ".")
    )


def _closest(matrix: NDArray[np.float32]) -> float:
    """The largest overlap of two different codes, 0 where there are no two."""
    return float(np.max(matrix, where=~np.eye(len(matrix), dtype=bool), initial=0.0))


def _without_overlap(data: ReportData) -> str:
    """What is to be said of the levels whose map would be a diagonal, with faint dots at best."""
    apart = [
        (level, _chosen(len(matrix), data.codebook_sizes[level - 1]))
        for level, matrix in enumerate(data.overlap, 1)
        if len(matrix) > 1 and _closest(matrix) < _PARTNER
    ]
    least = percent(_PARTNER)
    return " ".join(f"Level {level}: no two of the {chosen} overlap by {least} or more." for level, chosen in apart)


def _chosen(cells: int, size: int) -> str:
    """Which codes a map has."""
    return f"{number(cells)} codes in use" if cells == size else f"{number(cells)} most used codes"


def overlap(level: int, size: int, matrix: NDArray[np.float32], eta: float) -> Chart:
    """Overlaps [m, m] of the codes of a level; one path a shade, a row of equal cells in one stroke."""
    cells = len(matrix)
    shade = np.searchsorted(_SHADES, matrix, side="right")
    opacity = np.linspace(_FAINTEST, 1, len(_SHADES))
    paths = "".join(
        f'<path d="{strokes}" stroke-opacity="{opacity[index]:.2f}"/>'
        for index in range(len(_SHADES))
        if (strokes := _strokes(shade == index + 1))
    )
    mean = float(matrix[~np.eye(cells, dtype=bool)].mean()) if cells > 1 else 0.0
    crowded = percent(float(((matrix >= _PARTNER).sum(axis=1) > 1).mean())) if cells else percent(0)
    chosen = f"{'all' if cells == size else 'the'} {_chosen(cells, size)}"
    label = (
        f"Level {level}: overlap of {chosen} at eta {number(eta)}, {percent(mean)} in the mean; {crowded} of them "
        "overlap with another one by a tenth or more"
    )
    svg = Markup(
        f'<svg viewBox="0 0 {WIDTH} {WIDTH}" role="img" aria-label="{escape(label)}">'
        f'<g transform="scale({WIDTH / max(cells, 1):.4f})" stroke="var(--effective)" fill="none" '
        f'shape-rendering="crispEdges">{paths}</g>'
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{WIDTH - 1}" fill="none" stroke="var(--line)"/></svg>'
    )
    return Chart(
        f"Level {level}: {crowded} of these codes overlap with another",
        f"{chosen[0].upper()}{chosen[1:]}, K = {number(size)}; an overlap of a tenth or more counts.",
        svg,
    )


def shades() -> tuple[tuple[str, float], ...]:
    """The key of the overlaps: (words, opacity)."""
    opacity = np.linspace(_FAINTEST, 1, len(_SHADES))
    return tuple((percent(least), round(float(seen), 2)) for least, seen in zip(_SHADES, opacity, strict=True))


def _strokes(cells: NDArray[np.bool_]) -> str:
    """SVG path over the cells that are set: one horizontal stroke of width 1 a run."""
    padded = np.pad(cells, ((0, 0), (1, 1))).astype(np.int8)
    turns = np.diff(padded, axis=1)
    rows, starts = np.nonzero(turns == 1)
    ends = np.nonzero(turns == -1)[1]
    return "".join(f"M{start} {row}.5h{end - start}" for row, start, end in zip(rows, starts, ends, strict=True))
