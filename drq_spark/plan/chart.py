"""A plan as a picture: excess duplicates against possible SIDs, and what the levels keep of their codes."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import ceil, floor, log10

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from drq_spark.page.numbers import number, percent
from drq_spark.page.palette import level_colours
from drq_spark.page.svg import drawing
from drq_spark.plan.proposal import Candidate, Plan

_INK, _MUTED, _LINE, _MARK = "#1c222c", "#5b6270", "#dedad1", "#a8361a"
_SIZE, _DPI = (10.5, 4.6), 120
_MARKERS = "osD^vP"
_MOST_TICKS = 8
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def draw(plan: Plan) -> bytes:
    """PNG with a curve per number of levels; the targets are dashed lines, the proposal has a ring.

    On the left is the excess duplicate rate of the whole catalogue with its interval against prod K, both logarithmic;
    what is below half an item stands at the foot. On the right is the smallest K_eff / K of the levels against K.
    """
    with drawing():
        figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        levels = sorted({one.shape.levels for one in plan.candidates})
        for place, (depth, (colour, _)) in enumerate(zip(levels, level_colours(len(levels)), strict=True)):
            mine = [one for one in plan.candidates if one.shape.levels == depth]
            marker = _MARKERS[place % len(_MARKERS)]
            _duplicates(left, mine, plan, colour, marker)
            _capacity(right, mine, colour, marker)
        _finish_duplicates(left, plan)
        _finish_capacity(right, plan)
        handles = left.get_legend_handles_labels()
        figure.legend(*handles, title="levels", frameon=False, loc="outside right center", labelcolor=_INK)
        buffer = BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _foot(plan: Plan) -> float:
    """Half an item in the catalogue: nothing below it can be told from none."""
    return 0.5 / plan.catalogue.items


def _duplicates(axes: Axes, mine: Sequence[Candidate], plan: Plan, colour: str, marker: str) -> None:
    rates, foot = [one.excess_duplicate_rate for one in mine], _foot(plan)
    middle = [max(rate.value, foot) for rate in rates]
    below = [value - max(rate.low, foot) for value, rate in zip(middle, rates, strict=True)]
    above = [max(rate.high, foot) - value for value, rate in zip(middle, rates, strict=True)]
    axes.errorbar(
        [float(one.shape.possible) for one in mine],
        middle,
        yerr=(below, above),
        color=colour,
        marker=marker,
        markersize=4.5,
        linewidth=1.4,
        elinewidth=1,
        capsize=2,
        label=str(mine[0].shape.levels),
    )


def _capacity(axes: Axes, mine: Sequence[Candidate], colour: str, marker: str) -> None:
    axes.plot(
        [one.shape.codes for one in mine],
        [one.capacity for one in mine],
        color=colour,
        marker=marker,
        markersize=4.5,
        linewidth=1.4,
    )


def _finish_duplicates(axes: Axes, plan: Plan) -> None:
    highest = max(1.0, *(one.excess_duplicate_rate.high for one in plan.candidates))
    lowest = min(max(one.excess_duplicate_rate.low, _foot(plan)) for one in plan.candidates)
    low, high = floor(log10(min(lowest, plan.targets.duplicate_rate / 2))), ceil(log10(highest))
    axes.set(xscale="log", yscale="log", ylim=(10.0**low, 1.3 * 10.0**high))
    axes.yaxis.set_major_locator(FixedLocator([10.0**power for power in range(low, high + 1)]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(float(f"{value:.6g}"))))
    _powers_of_ten(axes, [float(one.shape.possible) for one in plan.candidates] + [float(plan.catalogue.items)])
    axes.set_title("Excess duplicates of the whole catalogue", color=_INK, loc="left")
    axes.set_xlabel("possible SIDs, K to the power of L", color=_MUTED)
    axes.axhline(plan.targets.duplicate_rate, color=_MARK, linewidth=1.2, dashes=(5, 3), zorder=0)
    axes.axvline(plan.catalogue.items, color=_MUTED, linewidth=1, dashes=(2, 2), zorder=0)
    axes.annotate(" items", (plan.catalogue.items, 10.0**low), color=_MUTED, ha="right", va="bottom", rotation=90)
    if plan.chosen is not None:
        height = max(plan.chosen.excess_duplicate_rate.value, _foot(plan))
        _ring(axes, float(plan.chosen.shape.possible), height)
    _plain(axes)


def _finish_capacity(axes: Axes, plan: Plan) -> None:
    sizes = sorted({one.shape.codes for one in plan.candidates})
    axes.set_xscale("log", base=2)
    axes.set_ylim(0, 1)
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(round(value))))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    axes.set_title("Smallest K_eff / K of the levels", color=_INK, loc="left")
    axes.set_xlabel("codes a level, K", color=_MUTED)
    if plan.targets.k_eff is not None:
        axes.axhline(plan.targets.k_eff, color=_MARK, linewidth=1.2, dashes=(5, 3), zorder=0)
    if plan.chosen is not None:
        _ring(axes, plan.chosen.shape.codes, plan.chosen.capacity)
    _plain(axes)


def _powers_of_ten(axes: Axes, values: Sequence[float]) -> None:
    """Set the x axis over positive values, in whole decades, of which not too many are named."""
    powers = range(floor(log10(min(values) / 1.5)), ceil(log10(max(values) * 1.5)) + 1)
    axes.set_xlim(10.0 ** powers[0], 10.0 ** powers[-1])
    named = powers[:: 1 + len(powers) // _MOST_TICKS]
    axes.xaxis.set_major_locator(FixedLocator([10.0**power for power in named]))
    axes.xaxis.set_ticklabels([f"10{str(power).translate(_SUPERSCRIPT)}" for power in named])


def _ring(axes: Axes, x: float, y: float) -> None:
    axes.plot([x], [y], marker="o", markersize=13, markerfacecolor="none", markeredgecolor=_MARK, markeredgewidth=1.8)


def _plain(axes: Axes) -> None:
    """Draw no box, faint lines across, and quiet ticks."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_MUTED)
    axes.tick_params(which="both", length=0, pad=6, colors=_MUTED)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color=_LINE, linewidth=0.8)
    axes.set_axisbelow(True)
