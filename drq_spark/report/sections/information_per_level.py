"""What each code adds to the codes before it, how they part the items, and what attributes tell of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from string import ascii_lowercase
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from drq_spark.metrics import Metric
from drq_spark.page.drawing import MARKS, Dot, Row, bar_rows, dot_rows, even_steps, set_ticks
from drq_spark.page.elements import Chart, Table
from drq_spark.page.numbers import finite, number, percent, three_digits
from drq_spark.page.svg import TEXT, WIDTH, axes, colour, inline
from drq_spark.report.cells import MISSING, WEIGHTINGS, known_levels, table_by_level
from drq_spark.report.data import Branch, Gain, ReportData

_GAINS = (
    ("plug_in", "gain", "plug-in"),
    ("grassberger", "gain", "corrected (Grassberger)"),
    ("plug_in", "permuted_gain", "permuted, plug-in"),
)  # estimator and field of the dots
_TINT = 0.35  # of the second row: both inks can be read on it
_LETTER = 6.5  # px of a letter, about


def parts(data: ReportData) -> dict[str, Any]:
    """What the section shows, by the names in its template."""
    return {
        "entropies": _entropies(data),
        "entropy_tables": [table for name in WEIGHTINGS if (table := _entropy_table(data, name))],
        "entropy_sentence": _entropy_sentence(data),
        "tree": icicle(data.tree, data.rows_out, data.codebook_sizes[0]) if _has_children(data) else None,
        "gains": [chart for step in sorted({gain.step for gain in data.gains}) if (chart := _gains(data, step))],
        "gain_table": _gain_table(data),
    }


def _entropies(data: ReportData) -> Chart | None:
    nats = known_levels(data, Metric.CONDITIONAL_ENTROPY)
    return (
        _entropy_bars([(level, h, log(data.codebook_sizes[level - 1])) for level, h in nats.items()]) if nats else None
    )


def _entropy_bars(rows: Sequence[tuple[int, float, float]]) -> Chart:
    """Information each level adds, beside the most that its codes can carry; a row is (level, nats, ln K)."""
    bars = [
        Row(
            f"level {level}",
            ((min(nats, most), "effective"), (max(0.0, most - nats), "line")),
            f"{nats:.3g} of {most:.3g}",
        )
        for level, nats, most in rows
    ]
    words = "; ".join(f"level {level} {nats:.3g} of {most:.3g} nats" for level, nats, most in rows)
    return Chart(
        "New information per level, in nats",
        "H(code | codes before it): how uncertain the next code is once the earlier ones are known, against ln K. "
        "Long is good; deep levels run short when the catalogue has too few items to fill the prefixes.",
        bar_rows(bars, "entropies", f"Conditional entropy per level: {words}", right=76),
        (("effective", "carried"), ("line", "room left up to ln K")),
    )


def _entropy_table(data: ReportData, weighting: str) -> Table | None:
    """Prefix entropies of every level, in nats."""
    columns: list[tuple[str, Metric, float | None]] = [
        ("H(code | before)", Metric.CONDITIONAL_ENTROPY, None),
        ("H(prefix)", Metric.PREFIX_ENTROPY, None),
        ("prefixes in use", Metric.OCCUPIED_PREFIXES, None),
    ]
    most = [f"{np.log(size):.3g}" for size in data.codebook_sizes]
    return table_by_level(data, f"Information by {weighting}, in nats", columns, weighting, [("ln K", most)])


def _entropy_sentence(data: ReportData) -> str:
    total = known_levels(data, Metric.PREFIX_ENTROPY).get(len(data.codebook_sizes))
    if total is None or data.rows_out < 2:
        return ""
    most = log(data.rows_out)
    return (
        f"Whole SIDs carry {total:.3g} of the {most:.3g} nats (ln N) that tell {number(data.rows_out)} items apart, "
        f"{percent(min(1.0, total / most))} of them."
    )


def _has_children(data: ReportData) -> bool:
    return bool(data.rows_out) and any(branch.children for branch in data.tree)


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


def _gains(data: ReportData, step: int) -> Chart | None:
    """Plug-in, corrected and permuted gain of one attribute, per level."""
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
