"""Charts of areas: which codes overlap, and how the items part over the tree of prefixes."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase

import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from numpy.typing import NDArray

from drq_spark.page.drawing import even_steps, set_ticks
from drq_spark.page.elements import Chart
from drq_spark.page.numbers import number, percent
from drq_spark.page.svg import TEXT, WIDTH, axes, colour, inline
from drq_spark.report.data import Branch

_SHADES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)  # least overlap of each shade; below the first one none
_FAINTEST = 0.12
_PARTNER = 0.1  # overlap that is worth counting
_TINT = 0.35  # of the second row: both inks can be read on it
_LETTER = 6.5  # px of a letter, about


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
    chosen = f"all {number(cells)} codes in use" if cells == size else f"the {number(cells)} most used codes"
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


def icicle(branches: Sequence[Branch], items: int, size: int) -> Chart:
    """The most used first codes and below each its second ones; widths are shares of the items, K first codes."""
    together = sum(branch.items for branch in branches) / items
    largest = branches[0].items / items
    drawn = axes(150, left=48, right=10, top=4, bottom=26)
    drawn.set(xlim=(0, together), ylim=(2, 0), yticks=[0.5, 1.5], yticklabels=["code 1", "code 2"])
    set_ticks(drawn.xaxis, even_steps(0, together), percent)
    start = 0.0
    for branch in branches:
        _block(drawn, 0, start, branch.items / items, branch)
        below = start
        for child in branch.children:
            _block(drawn, 1, below, child.items / items, child)
            below += child.items / items
        start += branch.items / items
    below_it = max(map(_largest_child, branches))
    label = (
        f"Prefix occupancy: the {number(len(branches))} most used of {number(size)} first codes hold "
        f"{percent(together)} of the items, the first of them {percent(largest)}; below them a second code holds up to "
        f"{percent(below_it)} of the items of its first code"
    )
    return Chart(
        f"Tree of prefixes: the most used first code holds {percent(largest)}",
        f"The {number(len(branches))} most used first codes, and below each its most used second codes; widths are "
        f"shares of all items, an even share would be {percent(1 / size)}. Grey are all other second codes: much grey "
        "is good, a wide block says that the second code does not part the items of the first.",
        inline(drawn, "icicle", label),
    )


def _largest_child(branch: Branch) -> float:
    return max((child.items for child in branch.children if child.code is not None), default=0) / branch.items


def _block(drawn: Axes, row: int, start: float, width: float, branch: Branch) -> None:
    rest = branch.code is None
    drawn.barh(
        row + 0.5, width, left=start, height=0.94, facecolor=colour("uneven" if rest else "effective"),
        alpha=None if rest or not row else _TINT, edgecolor=colour("paper"), linewidth=0.8,
    )  # fmt: skip
    words = "the rest" if rest else f"{ascii_lowercase[row]}_{branch.code}"
    if width / drawn.get_xlim()[1] * (WIDTH - 58) > _LETTER * len(words) + 4:
        drawn.annotate(
            words, (start + width / 2, row + 0.5), ha="center", va="center", size=TEXT,
            color=colour("ink" if rest or row else "paper"),
        )  # fmt: skip
