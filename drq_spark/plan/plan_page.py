"""A plan as one HTML page: the proposal, every shape with its intervals, and two charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, floor, log10
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from drq_spark.page.drawing import MARKS
from drq_spark.page.elements import Chart
from drq_spark.page.environment import page
from drq_spark.page.numbers import number, percent, two_digit_percent
from drq_spark.page.svg import TEXT, axes, colour, drawing, inline
from drq_spark.plan.extrapolation import CONFIDENCE, Estimate
from drq_spark.plan.proposal import Candidate, Plan

HEADINGS = ("K", "L", "SIDs", "in sample", "duplicates", "excess", "shared", "K_eff / K", "rel. MSE", "")
"""Of the columns of `cells`."""

_HEIGHT = 280  # px of a chart
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_MOST_TICKS = 5


def render(plan: Plan, source: str) -> str:
    """The page; `source` names the catalogue. The same plan gives the same text."""
    levels = _levels(plan)
    with drawing():
        charts = [_duplicates_chart(plan), _capacity_chart(plan)]
    key = [(f"level-{place}", f"{depth} levels") for place, depth in enumerate(levels, 1)]
    return page(
        "plan",
        "plan",
        levels=len(levels),
        plan=plan,
        source=source,
        options=options_of(plan),
        headings=HEADINGS,
        rows=[(one is plan.nearest, tuple(cells(one, plan))) for one in plan.candidates],
        exact=two_digit_percent(plan.catalogue.exact_duplicate_rate),
        confidence=f"{CONFIDENCE:.0%}",
        charts=charts,
        key=key,
    )


def options_of(plan: Plan) -> str:
    """The options of `drq run` that give the proposal, or the nearest shape where there is none."""
    return f"--levels {plan.nearest.shape.levels} --codes {plan.nearest.shape.codes}"


def cells(one: Candidate, plan: Plan) -> Iterator[str]:
    """A shape as a row of text, under `HEADINGS`."""
    seen, whole = one.fitted.seen, one.catalogue
    yield f"{one.shape.codes:,}"
    yield f"{one.shape.levels}"
    yield f"{one.shape.possible:,}" if one.shape.possible < 10**6 else f"{one.shape.possible:.1e}"
    yield two_digit_percent(1 - seen.unique / seen.items)
    yield _interval(whole.duplicate_rate)
    yield _interval(one.excess_duplicate_rate)
    yield two_digit_percent(whole.shared_rate.value)
    yield f"{one.capacity:.2f}"
    yield f"{one.fitted.relative_mse:.3f}"
    yield "◄" if one is plan.chosen else "✓" if one.shortfall(plan.targets) <= 1 else ""


def _interval(rate: Estimate) -> str:
    value, low, high = (two_digit_percent(share) for share in (rate.value, rate.low, rate.high))
    return f"{value} ({low} – {high})"


def _levels(plan: Plan) -> list[int]:
    return sorted({one.shape.levels for one in plan.candidates})


def _curves(plan: Plan) -> Iterator[tuple[str, str, list[Candidate]]]:
    """Colour, marker and shapes of each number of levels."""
    for place, depth in enumerate(_levels(plan), 1):
        shapes = [one for one in plan.candidates if one.shape.levels == depth]
        yield colour(f"level-{place}"), MARKS[place % len(MARKS)].shape, shapes


def _duplicates_chart(plan: Plan) -> Chart:
    """Excess duplicates with their intervals against possible SIDs, both logarithmic."""
    drawn, foot = axes(_HEIGHT, left=46, bottom=40), 0.5 / plan.catalogue.items
    for ink, marker, shapes in _curves(plan):
        rates = [one.excess_duplicate_rate for one in shapes]
        middle = [max(rate.value, foot) for rate in rates]
        below = [value - max(rate.low, foot) for value, rate in zip(middle, rates, strict=True)]
        above = [max(rate.high, foot) - value for value, rate in zip(middle, rates, strict=True)]
        possible = [float(one.shape.possible) for one in shapes]
        style: dict[str, Any] = {
            "color": ink,
            "marker": marker,
            "markersize": 5,
            "linewidth": 1.4,
            "elinewidth": 1,
            "capsize": 2,
        }
        drawn.errorbar(possible, middle, yerr=(below, above), **style)
    _decades(drawn, plan, foot)
    _target(drawn, plan.targets.duplicate_rate)
    drawn.axvline(plan.catalogue.items, color=colour("muted"), linewidth=1, dashes=(2, 2), zorder=0)
    if plan.chosen is not None:
        _ring(drawn, float(plan.chosen.shape.possible), max(plan.chosen.excess_duplicate_rate.value, foot))
    drawn.set_xlabel("possible SIDs, K to the power of L", size=TEXT, color=colour("muted"))
    words = "; ".join(
        f"K {one.shape.codes}, L {one.shape.levels}: {_interval(one.excess_duplicate_rate)}" for one in plan.candidates
    )
    caption = (
        "Dashed across: the target. Dotted upright: as many SIDs as items. The ring is the proposal. What is below "
        "half an item stands at the foot."
    )
    return Chart("Excess duplicates of the whole catalogue", caption, inline(drawn, "duplicates", words))


def _capacity_chart(plan: Plan) -> Chart:
    """The smallest K_eff / K of the levels against K."""
    drawn, sizes = axes(_HEIGHT, left=46, right=24, bottom=40), sorted({one.shape.codes for one in plan.candidates})
    for ink, marker, shapes in _curves(plan):
        style: dict[str, Any] = {"color": ink, "marker": marker, "markersize": 5, "linewidth": 1.4}
        drawn.plot([one.shape.codes for one in shapes], [one.capacity for one in shapes], **style)
    drawn.set_xscale("log", base=2)
    drawn.set_xlim(sizes[0] / 1.2, sizes[-1] * 1.2)
    drawn.set_ylim(0, 1.04)
    _ticks(drawn, [float(size) for size in sizes], [number(size) for size in sizes])
    drawn.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    drawn.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))
    drawn.grid(axis="y", color=colour("line"), linewidth=0.8)
    if plan.targets.k_eff is not None:
        _target(drawn, plan.targets.k_eff)
    if plan.chosen is not None:
        _ring(drawn, plan.chosen.shape.codes, plan.chosen.capacity)
    drawn.set_xlabel("codes a level, K", size=TEXT, color=colour("muted"))
    words = "; ".join(f"K {one.shape.codes}, L {one.shape.levels}: {one.capacity:.2f}" for one in plan.candidates)
    caption = f"Of the level that keeps least, at eta {plan.catalogue.eta:g}."
    return Chart("Smallest K_eff / K of the levels", caption, inline(drawn, "capacity", words))


def _decades(drawn: Axes, plan: Plan, foot: float) -> None:
    """Both axes of the duplicates, logarithmic, in whole decades."""
    highest = max(1.0, *(one.excess_duplicate_rate.high for one in plan.candidates))
    lowest = min(max(one.excess_duplicate_rate.low, foot) for one in plan.candidates)
    low, high = floor(log10(min(lowest, plan.targets.duplicate_rate / 2))), ceil(log10(highest))
    drawn.set(xscale="log", yscale="log", ylim=(10.0**low, 1.3 * 10.0**high))
    drawn.yaxis.set_major_locator(FixedLocator([10.0**power for power in range(low, high + 1)]))
    drawn.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(float(f"{value:.6g}"))))
    values = [float(one.shape.possible) for one in plan.candidates] + [float(plan.catalogue.items)]
    powers = range(floor(log10(min(values) / 1.5)), ceil(log10(max(values) * 1.5)) + 1)
    drawn.set_xlim(10.0 ** powers[0], 10.0 ** powers[-1])
    named = powers[:: 1 + len(powers) // _MOST_TICKS]
    _ticks(drawn, [10.0**power for power in named], [f"10{str(power).translate(_SUPERSCRIPT)}" for power in named])
    drawn.grid(axis="y", color=colour("line"), linewidth=0.8)


def _ticks(drawn: Axes, places: Sequence[float], names: Sequence[str]) -> None:
    """Name these places of the x axis and no others."""
    drawn.xaxis.set_major_locator(FixedLocator(list(places)))
    drawn.xaxis.set_ticklabels(list(names))
    for axis in (drawn.xaxis, drawn.yaxis):
        axis.set_minor_locator(NullLocator())


def _target(drawn: Axes, value: float) -> None:
    drawn.axhline(value, color=colour("close"), linewidth=1.2, dashes=(5, 3), zorder=0)


def _ring(drawn: Axes, x: float, y: float) -> None:
    style: dict[str, Any] = {"markersize": 13, "markerfacecolor": "none", "markeredgewidth": 1.8}
    drawn.plot([x], [y], marker="o", markeredgecolor=colour("close"), **style)
