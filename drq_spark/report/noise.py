"""Charts of what noise does: how many whole SIDs count, and how many codes flip."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from operator import itemgetter

from drq_spark.metrics import Ruler
from drq_spark.page.drawing import Dot, dot_rows, even_steps, right_labels, set_ticks, spoken, steps
from drq_spark.page.elements import Chart
from drq_spark.page.numbers import number, percent, three_digits
from drq_spark.page.svg import TEXT, axes, colour, inline

Points = Sequence[tuple[float, float, float]]  # (size of the noise, value, two standard errors)

_NOISE = {
    Ruler.LATENT: ("η, noise on the latents", "their spread per effective coordinate"),
    Ruler.INPUT: ("ρ, noise on the embeddings", "the norm of the embedding"),
}


def whole_sids(points: Points, sids: float | None, eta: float) -> Chart:
    """Effective number of whole SIDs over the noise, with bars of two standard errors."""
    drawn = axes(190, left=66, right=20, top=14)
    values = [value for _, value, _ in points]
    drawn.set(xscale="log", yscale="log", ylim=(min(values) / 2, max(*values, sids or 0) * 2))
    drawn.set_xlim(points[0][0] / 1.06, points[-1][0] * 1.06)
    drawn.axvline(eta, color=colour("muted"), linewidth=1, dashes=(4, 3))
    if sids:
        drawn.axhline(sids, color=colour("muted"), linewidth=1, dashes=(4, 3))
        drawn.annotate(
            "SIDs in use", (1, sids), (-2, 4), xycoords=drawn.get_yaxis_transform(), textcoords="offset points",
            ha="right", color=colour("muted"), size=TEXT,
        )  # fmt: skip
    for place, value, reach in points:
        ends = [max(value - reach, value / 10), value + reach]
        drawn.plot([place] * 2, ends, color=colour("effective"), linewidth=1.4)
    drawn.plot([place for place, _, _ in points], values, color=colour("effective"), marker="o", markersize=5)
    set_ticks(drawn.xaxis, [place for place, _, _ in points], number)
    set_ticks(drawn.yaxis, steps(*drawn.get_ylim()), _large)
    drawn.set_xlabel("η, size of the perturbation", size=TEXT, color=colour("muted"), labelpad=2)
    words = "; ".join(f"{three_digits(value)} at {number(place)}" for place, value, _ in points)
    return Chart(
        "Whole SIDs that still count as embeddings move",
        "As many equally used SIDs that noise never confuses; estimated from pairs of items, bars are two standard "
        "errors. Close to the SIDs in use is good.",
        inline(drawn, "whole-sids", f"Effective number of whole SIDs over eta: {words}"),
    )


def flips(curves: Sequence[tuple[int, Points]], ruler: Ruler) -> Chart:
    """Items whose code changes under noise, a curve per level; level 0 is any code of the SID."""
    axis, unit = _NOISE[ruler]
    drawn = axes(230, left=46, right=62, top=12)
    places = sorted({place for _, points in curves for place, _, _ in points})
    highest = max(value + reach for _, points in curves for _, value, reach in points)
    drawn.set(xscale="log", ylim=(0, min(1.0, max(0.05, 1.08 * highest))))
    drawn.set_xlim(places[0] / 1.06, places[-1] * 1.06)
    signs = cycle("os^Dvphd<>*X")
    for level, points in curves:
        name = f"level-{level}" if level else "ink"
        x, y = ([point[part] for point in points] for part in (0, 1))
        for place, value, reach in points:
            drawn.plot([place] * 2, [value - reach, value + reach], color=colour(name), linewidth=1.4)
        (line,) = drawn.plot(x, y, color=colour(name), markersize=5, linewidth=1.8, clip_on=False)
        line.set_marker(next(signs) if level else "P")
        if not level:
            line.set_dashes((5, 2))
    edge = drawn.get_xlim()[1]
    ends = [(_level(level), edge, points[-1][1], f"level-{level}" if level else "ink") for level, points in curves]
    right_labels(drawn, sorted(ends, key=itemgetter(2)))  # from the bottom up
    set_ticks(drawn.xaxis, places, number)
    set_ticks(drawn.yaxis, even_steps(*drawn.get_ylim()), percent)
    drawn.set_xlabel(axis, size=TEXT, color=colour("muted"), labelpad=2)
    words = "; ".join(
        f"{_level(level)} from {percent(points[0][1])} to {percent(points[-1][1])}" for level, points in curves
    )
    return Chart(
        f"Items whose code flips: noise on the {'latents' if ruler is Ruler.LATENT else 'embeddings'}",
        f"Items are encoded again with noise, whose size is a share of {unit}. Low is good. Deep levels flip more, as "
        "a flip above them changes what they see; bars are two standard errors.",
        inline(drawn, f"flips-{ruler.value}", f"Flip rate over the size of the noise on the {ruler.value}: {words}"),
    )


def after(rows: Sequence[tuple[int, Dot]]) -> Chart:
    """Items whose code differs between two versions of the embeddings; level 0 is any code of the SID."""
    named = [(_level(level), [dot]) for level, dot in rows]
    words = "; ".join(f"{name} {spoken(dots[0], percent)}" for name, dots in named)
    return Chart(
        "Items whose code flips: second version of the embeddings",
        "The same items, encoded from both versions by the same tokenizer. Low is good: this is what the next training "
        "of the embedding model will do.",
        dot_rows(named, "flips-after", f"Codes that differ between versions: {words}", (0.0, 0.1), percent, left=74),
    )


def _large(value: float) -> str:
    """A round number in few letters."""
    for unit, words in ((1e9, " billion"), (1e6, " million")):
        if value >= unit:
            return number(value / unit) + words
    return number(value)


def _level(level: int) -> str:
    return f"level {level}" if level else "any level"
