"""The runs that readers have followed, as one HTML page: figures as lines from night to night, for every channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes

from drq_spark.addresses import short_path
from drq_spark.metrics import Metric
from drq_spark.page.drawing import even_steps, right_labels, set_ticks
from drq_spark.page.elements import Chart
from drq_spark.page.environment import page
from drq_spark.page.numbers import number, percent
from drq_spark.page.svg import axes, colour, drawing, inline
from drq_spark.schemas import LIVE, PUBLISHED, Status, channel_of
from drq_spark.upkeep.history import Past

_HEIGHT, _LEFT, _RIGHT = 190, 58, 74  # px
_MOST_TICKS = 3


@dataclass(frozen=True)
class Line:
    """A figure from night to night; None where a night has none."""

    name: str
    colour: str
    values: Sequence[float | None]


def render(past: Sequence[Past], source: str) -> str:
    """The page; the same runs give the same text.

    Args:
        past: Runs, newest first, see `history.history`.
        source: Where they lie.
    """
    followed = [one for one in reversed(past) if one.state.status == Status.PUBLISHED.value]
    channels = sorted({name for one in followed for name in _readers(one)}, key=lambda name: (name != LIVE, name))
    with drawing():
        parts = {name: _charts(name, [one for one in followed if name in _readers(one)]) for name in channels}
    levels = max((level for one in followed for level in one.drift), default=0)
    return page("upkeep", "history", levels, parts=parts, nights=len(followed), source=short_path(source))


def _readers(one: Past) -> set[str]:
    """The channels whose readers have followed a run: that it was made for, and those it was given to."""
    given = {channel_of(table, PUBLISHED) for table in one.state.table_versions}
    return {one.state.channel, *filter(None, given)}


def _charts(channel: str, past: Sequence[Past]) -> list[Chart]:
    """The charts of a channel, those without a figure left out."""
    levels = sorted({level for one in past for level in one.drift})
    of_levels = [Line(f"level {level}", f"level-{level}", [one.drift.get(level) for one in past]) for level in levels]
    wanted = (
        ("items", "Items and different SIDs", "An item without a SID of its own is told apart by its suffix.",
         [_line(past, Metric.ITEMS, "items", "muted"), _line(past, Metric.UNIQUE_SIDS, "SIDs", "effective")], False),
        ("error", "Relative error, all items", "What SIDs leave of the variance of the embeddings.",
         [_line(past, Metric.RELATIVE_MSE, "all", "effective")], True),
        ("new", "Residual share of new items",
         "Beside that of items which the training had not seen: far above it the items are of another kind.",
         [_line(past, Metric.RESIDUAL_SHARE_NEW, "new", "close"),
          _line(past, Metric.RESIDUAL_SHARE_UNSEEN, "unseen", "muted")], True),
        ("drift", "Drift of the use of codes", "Jensen-Shannon divergence in bits to the use at training.",
         of_levels, False),
        ("churn", "SIDs changed", "Items of both runs with another SID than in the run before.",
         [_line(past, Metric.CHURN, "changed", "close")], True),
    )  # fmt: skip
    drawn = [
        Chart(title, caption, _svg(f"{channel}-{key}", title, lines, past, shares=shares))
        for key, title, caption, lines, shares in wanted
        if any(value is not None for line in lines for value in line.values)
    ]
    return drawn


def _line(past: Sequence[Past], metric: Metric, name: str, tone: str) -> Line:
    return Line(name, tone, [one.figures.get(metric) for one in past])


def _svg(name: str, title: str, lines: Sequence[Line], past: Sequence[Past], *, shares: bool) -> Markup:
    """Lines over the runs in order; a dashed line across is where readers got another tokenizer."""
    drawn = axes(_HEIGHT, left=_LEFT, right=_RIGHT, top=10, bottom=30)
    known = [value for line in lines for value in line.values if value is not None]
    low, high = min(0.0, *known), max(known) or 1.0
    drawn.set(xlim=(-0.5, max(len(past) - 0.5, 0.5)), ylim=(low, low + 1.08 * (high - low)))
    for place, (before, after) in enumerate(pairwise(past), start=1):
        if before.state.tokenizer_id != after.state.tokenizer_id:
            drawn.axvline(place - 0.5, color=colour("muted"), linewidth=1, dashes=(4, 3))
    ends = []
    for line in lines:
        _plot(drawn, line)
        last = [(place, value) for place, value in enumerate(line.values) if value is not None]
        if last:
            ends.append((line.name, drawn.get_xlim()[1], last[-1][1], line.colour))
    set_ticks(drawn.yaxis, even_steps(*drawn.get_ylim()), percent if shares else number)
    _name_days(drawn, past)
    right_labels(drawn, ends, gap=6)
    return inline(drawn, name, _spoken(title, lines, past))


def _plot(drawn: Axes, line: Line) -> None:
    """Runs of values without a gap as lines, each value with a dot."""
    style: dict[str, Any] = {"color": colour(line.colour), "linewidth": 1.6, "marker": "o", "markersize": 3.5}
    for known, group in groupby(enumerate(line.values), key=lambda one: one[1] is not None):
        if known:
            places, values = zip(*((place, value or 0.0) for place, value in group), strict=True)
            drawn.plot(places, values, **style)


def _name_days(drawn: Axes, past: Sequence[Past]) -> None:
    """Days under the axis: the first, the last, and one between them where there is room."""
    last = len(past) - 1
    places = sorted({0, last} if last < _MOST_TICKS - 1 else {0, last // 2, last})
    set_ticks(drawn.xaxis, places, lambda place: f"{past[round(place)].state.run_date:%b %d}")


def _spoken(title: str, lines: Sequence[Line], past: Sequence[Past]) -> str:
    """What a screen reader says: the first and the last value of every line."""
    told = []
    for line in lines:
        known = {place: value for place, value in enumerate(line.values) if value is not None}
        if known:
            ends: Mapping[int, float] = {place: known[place] for place in (min(known), max(known))}
            words = ", then ".join(f"{number(value)} on {past[place].state.run_date}" for place, value in ends.items())
            told.append(f"{line.name} {words}")
    return f"{title}: {'; '.join(told)}"
