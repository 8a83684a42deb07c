"""The page and the plot of `perturbation.py`: what is predicted, what is observed, and when they part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import matplotlib
import numpy as np
from scipy.stats import spearmanr

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from drq_spark.page.palette import level_colours

ETAS = (0.1, 0.2, 0.5, 1.0)
CODES, LEVELS = 256, 3
GREEDY = "drq, greedy"  # the same books without the beam
_LEAST = 1e-4  # left edge of the plot
_MARKS = "os^Dv"


@dataclass(frozen=True)
class Point:
    """One tokenizer, level (from 1) and eta.

    Attributes:
        others: 1 - G, the share of the expected overlap that is between different codes. overlap: O_pi - sum pi^2.
        nearest: mean Phi(-h / sigma), h the distance of an item to its nearest boundary, and every: the sum over all
        boundaries, at most 1; greedy tokenizers only, else nan. flips: share of the items whose code flips; kept,
        moved: the same among the items whose earlier codes all stay, or do not.
    """

    name: str
    level: int
    eta: float
    others: float
    overlap: float
    nearest: float
    every: float
    flips: float
    kept: float
    moved: float


def correlation(found: Sequence[Point], predicted: str) -> float:
    """Spearman's rank correlation of a prediction with the flips."""
    return float(spearmanr([getattr(point, predicted) for point in found], [point.flips for point in found]).statistic)


def page(
    found: Sequence[Point], greedy: Sequence[Point], survival: dict[str, list[float]], folder: str, items: int
) -> str:
    """The whole page; `greedy` are the points of the tokenizer with a beam, encoded without it."""
    return "\n".join(
        [
            "# Prediction and observation", "", *_wrapped(_HEAD.format(folder=folder, items=items, etas=_etas())),
            "![Predictions against flip rates](perturbation.png)", "",
            "## The figures", "", *_table(found, survival), "",
            "## How well the order agrees", "", *_correlations(found), "", *_wrapped(_order_text(found)),
            "## When they part", "", *_wrapped(_parting(found, greedy, survival)),
        ]
    ).rstrip() + "\n"  # fmt: skip


_HEAD = """\
`geometry` and `expected_overlap` say, from codewords and their use alone, how much codes blur under noise; `flip_rate`
counts the codes that flip when items are perturbed. This page asks whether the first predicts the second.

Made by `python bench/perturbation.py`, here of {folder}: {items:,} items, K = 256, L = 3, fitted to all items without
events; noise on the latents, one draw an item; eta {etas}.
"""


def _wrapped(text: str) -> Iterator[str]:
    """Lines of at most 120 characters, an empty one after each paragraph; bullets are indented."""
    for paragraph in text.strip().split("\n\n"):
        indent = "  " if paragraph.startswith("- ") else ""
        yield from fill(" ".join(paragraph.split()), 120, subsequent_indent=indent).split("\n")
        yield ""


def _etas() -> str:
    return ", ".join(f"{eta:g}" for eta in ETAS)


def _table(found: Sequence[Point], survival: dict[str, list[float]]) -> list[str]:
    """One line a tokenizer and level; four numbers a cell, one per eta."""
    head = "| | level | 1 − G | O_π − Σπ² | flip rate | SID survival |"
    lines = [f"Cells: eta {_etas()}.", "", head, "|---" * 6 + "|"]
    for name in dict.fromkeys(point.name for point in found):
        for level in sorted({point.level for point in found}):
            mine = [point for point in found if (point.name, point.level) == (name, level)]
            cells = [_cell([point.others for point in mine]), _cell([point.overlap for point in mine], 4)]
            cells += [_cell([point.flips for point in mine]), _cell(survival[name]) if level == 1 else ""]
            lines.append(f"| {name if level == 1 else ''} | {level} | " + " | ".join(cells) + " |")
    return lines


def _cell(values: Iterable[float], digits: int = 3) -> str:
    return " ".join(f"{value:.{digits}f}".removeprefix("0") for value in values)


def _correlations(found: Sequence[Point]) -> list[str]:
    levels = sorted({point.level for point in found})
    heads = " | ".join(f"level {level}" for level in levels)
    lines = [f"| eta | 1 − G, all levels | O_π − Σπ², all levels | {heads} |", "|---" * (3 + len(levels)) + "|"]
    for eta in ETAS:
        here = [point for point in found if point.eta == eta]
        parts = [correlation([point for point in here if point.level == level], "others") for level in levels]
        numbers = [correlation(here, "others"), correlation(here, "overlap"), *parts]
        lines.append(f"| {eta:g} | " + " | ".join(f"{number:.2f}" for number in numbers) + " |")
    return lines


def _order_text(found: Sequence[Point]) -> str:
    tokenizers = len({point.name for point in found})
    largest = max(np.ptp([p.flips for p in found if (p.level, p.eta) == (level, 0.5)]) for level in (1, 2, 3))
    return f"""
Spearman's rank correlation with the flip rate: over all {tokenizers} tokenizers and {LEVELS} levels of one eta; and,
for 1 − G, over the tokenizers of one level. Over all points together it is {correlation(found, "others"):.2f} for
1 − G and {correlation(found, "overlap"):.2f} for O_π − Σπ².

So the predictions tell which level is fragile, and how that grows with eta. Between tokenizers on one level they tell
less: {tokenizers} make a coarse rank correlation, and at eta 0.5 their flip rates lie within {largest:.2f} of each
other, with standard errors up to 0.007. At eta 0.1 there is nothing to rank by: all predictions are 0 in practice.
"""


def _parting(found: Sequence[Point], greedy: Sequence[Point], survival: dict[str, list[float]]) -> str:
    """The text, with what was measured."""
    names = {point.name for point in found if np.isfinite(point.nearest)}
    plain = [point for point in found if point.name in names]
    beam = [point for point in found if point.name == "drq"]

    def over(points: Iterable[Point], value: Callable[[Point], float], eta: float, *levels: int) -> str:
        """Lowest and highest."""
        values = [value(point) for point in points if point.eta == eta and point.level in (levels or (1, 2, 3))]
        return f"{min(values):.3f} to {max(values):.3f}"

    def level(points: Iterable[Point]) -> str:
        return ", ".join(f"{point.flips:.3f}" for point in points if point.eta == 0.5)

    half = ETAS.index(0.5)
    return f"""
OVL is a matter of two codewords and of noise; O_π weighs all pairs of codes by their use, and not by where items lie.
Flips depend on where each item lies. Four things follow.

- **Little noise.** Overlap falls like exp(−‖c_i − c_j‖² / 8σ²), as if every item sat on its codeword. Items near a
boundary flip all the same. At eta 0.1 the highest 1 − G is {max(p.others for p in found if p.eta == 0.1):.1e}, and
{over(found, lambda p: p.flips, 0.1)} of the codes flip. Margins say more: the mean of Φ(−h/σ) over items, h the
distance to the nearest boundary, is {over(plain, lambda p: p.nearest, 0.1, 1)} on level 1 of the greedy
tokenizers, where {over(plain, lambda p: p.flips, 0.1, 1)} flip. `items_at_risk` lists the
items with the smallest margins.

- **Many directions.** With more noise an item in many dimensions has many boundaries within reach, and the nearest one
is not enough: at eta 1 it gives {over(plain, lambda p: p.nearest, 1.0, 1)} on level 1, the sum over all boundaries (too
much, for they overlap) {over(plain, lambda p: p.every, 1.0, 1)}, and {over(plain, lambda p: p.flips, 1.0, 1)} flip.
1 − G is a share of overlap and not a chance, so it saturates: {over(found, lambda p: p.others, 1.0, 3)} on level 3,
where {over(found, lambda p: p.flips, 1.0, 3)} flip.

- **Earlier levels.** A code of level 2 or 3 codes what the levels before left; where one of those flips, the residual
is another one. At eta 0.5 the code of level 3 flips for {over(found, lambda p: p.kept, 0.5, 3)} of the items whose
earlier codes stay, and for {over(found, lambda p: p.moved, 0.5, 3)} of the others (which are, in part,
other items: those near boundaries). The prediction takes each level by itself.

- **Beam.** A beam chooses by the whole path, not by the boundaries of one level. `drq` at eta 0.5 flips {level(beam)}
on levels 1 to {LEVELS} with its beam, and {level(greedy)} with the same books and no beam, although O_π hardly differs;
{survival["drq"][half]:.3f} and {survival[GREEDY][half]:.3f} of the whole SIDs survive.

So use `geometry` at the headline eta to compare levels, and to see that codewords lie too close; use `flip_rate` and
`sid_survival` for what happens to a catalogue.
"""


def plot(found: Sequence[Point], path: Path) -> None:
    """Flip rates over both predictions, one point per tokenizer, level and eta."""
    levels = sorted({point.level for point in found})
    colours = [light for light, _ in level_colours(len(levels))]
    marks = dict(zip(dict.fromkeys(point.name for point in found), _MARKS, strict=False))
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.8), layout="constrained", sharey=True)
    for axis, predicted in zip(axes, ("others", "nearest"), strict=True):
        for point in found:
            x = max(getattr(point, predicted), _LEAST)
            axis.plot(x, point.flips, marks[point.name], color=colours[point.level - 1], ms=_size(point.eta),
                      mfc=colours[point.level - 1] if x > _LEAST else "none", alpha=0.8)  # fmt: skip
        axis.set(xscale="log", yscale="log", xlim=(_LEAST * 0.8, 1.3), ylim=(0.002, 1.2))
        axis.grid(alpha=0.3)
    axes[0].set(title="From the overlap of codewords", ylabel="flip rate",
                xlabel=f"1 − G (hollow: {_LEAST:g} or less)")  # fmt: skip
    axes[1].set(title="From the margins of items (greedy tokenizers)", xlim=(0.0012, 1.3),
                xlabel="mean of Φ(−distance to the nearest boundary / σ)")  # fmt: skip
    axes[1].plot([0.001, 1], [0.001, 1], color="0.5", lw=1, zorder=0)
    axes[1].annotate("equal", (0.0026, 0.0026), xytext=(4, -6), textcoords="offset points", color="0.4")
    entries = [("o", colour, 8.0, f"level {number}") for number, colour in zip(levels, colours, strict=True)]
    entries += [(mark, "0.4", 8.0, name) for name, mark in marks.items()]
    entries += [("o", "0.7", _size(eta), f"eta {eta:g}") for eta in ETAS]
    keys = [plt.Line2D([], [], marker=m, ls="", color=colour, ms=ms, label=label) for m, colour, ms, label in entries]
    figure.legend(handles=keys, loc="outside right center", frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _size(eta: float) -> float:
    """Of a mark, in points."""
    return 2 + 7 * eta**0.6
