"""What noise and a second version of the embeddings do: capacity, flips, confused codes, items at risk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle
from operator import itemgetter
from typing import Any

from matplotlib.axes import Axes

from drq_spark.metrics import Metric, MetricRow, Ruler
from drq_spark.page.drawing import Dot, dot_rows, even_steps, right_labels, set_ticks, spoken, steps
from drq_spark.page.elements import Chart, Fact, Sid, Table
from drq_spark.page.numbers import NBSP, finite, number, percent, three_digits
from drq_spark.page.svg import TEXT, axes, colour, inline
from drq_spark.report.cells import MISSING, WEIGHTINGS, sid
from drq_spark.report.data import Confusion, ReportData

_MARKERS = "os^Dvphd<>*X"
_NAMED = 3
_RULERS = {
    Ruler.LATENT.value: f"noise on the latents, η{NBSP}={NBSP}{{}}",
    Ruler.INPUT.value: f"noise on the embeddings, ρ{NBSP}={NBSP}{{}}",
    Ruler.AFTER.value: "change between the two versions",
}
_SAME_FOR_ALL = (Ruler.INPUT, Ruler.AFTER)  # tokenizers can be compared by them
_NOISE = {
    Ruler.LATENT: ("η, noise on the latents", "their spread per effective coordinate"),
    Ruler.INPUT: ("ρ, noise on the embeddings", "the norm of the embedding"),
}
Curve = tuple[int, int, Sequence[float], Sequence[float]]  # (level, K, etas, K_eff)
Points = Sequence[tuple[float, float, float]]  # (size of the noise, value, two standard errors)


def parts(data: ReportData) -> dict[str, Any]:
    """What the section shows, by the names in its template."""
    return {
        "curves": [chart for name in WEIGHTINGS if (chart := _curve(data, name))],
        "noise_charts": [chart for chart in (_whole(data), *_flips(data), _after(data)) if chart is not None],
        "ruler_facts": _sigma(data),
        "ruler_table": _other_rulers(data),
        "confusions": [_confusion(pair) for pair in data.confusions],
        "at_risk": _at_risk(data),
        "risk_exposure": any(finite(item.exposure) is not None for item in data.at_risk),
        "eta": number(data.headline_eta),
    }


def _curve(data: ReportData, weighting: str) -> Chart | None:
    curves = _curves(data, weighting)
    return _capacity_curves(curves, weighting, data.headline_eta) if curves else None


def perturbation_axes(data: ReportData, weighting: str) -> Axes | None:
    """The chart of capacity over noise, drawn; None where nothing is known of it."""
    curves = _curves(data, weighting)
    return _curve_axes(curves, data.headline_eta) if curves else None


def _curves(data: ReportData, weighting: str) -> list[Curve]:
    curves: list[Curve] = []
    for level, size in enumerate(data.codebook_sizes, 1):
        points = [
            (row.eta, row.value)
            for row in data.figures.by_ruler(Metric.EFFECTIVE_CAPACITY, Ruler.LATENT, weighting=weighting)
            if row.level == level and row.eta and row.value
        ]
        if len(points) > 1:
            curves.append((level, size, [eta for eta, _ in points], [value for _, value in points]))
    return curves


def _curve_axes(curves: Sequence[Curve], eta: float) -> Axes:
    drawn = axes(230, left=46, right=56, top=12)
    lowest = min(min(value) / size for _, size, _, value in curves)
    drawn.set(xscale="log", yscale="log", ylim=(lowest / 1.3, 1.25))
    etas = sorted({value for _, _, scales, _ in curves for value in scales})
    drawn.set_xlim(etas[0] / 1.06, etas[-1] * 1.06)
    drawn.axvline(eta, color=colour("muted"), linewidth=1, dashes=(4, 3))
    for level, size, scales, values in curves:
        shares = [value / size for value in values]
        marker = _MARKERS[(level - 1) % len(_MARKERS)]
        drawn.plot(
            scales, shares, color=colour(f"level-{level}"), marker=marker, markersize=5, linewidth=1.8, clip_on=False
        )
    edge = drawn.get_xlim()[1]
    ends = [(f"level {level}", edge, values[-1] / size, f"level-{level}") for level, size, _, values in curves]
    right_labels(drawn, sorted(ends, key=itemgetter(2)))  # from the bottom up
    set_ticks(drawn.xaxis, etas, number)
    set_ticks(drawn.yaxis, steps(*drawn.get_ylim()), percent)
    drawn.set_xlabel("η, size of the perturbation", size=TEXT, color=colour("muted"), labelpad=2)
    return drawn


def _capacity_curves(curves: Sequence[Curve], weighting: str, eta: float) -> Chart:
    """Effective share of the codes against the perturbation."""
    drawn = _curve_axes(curves, eta)
    words = "; ".join(
        f"level {level} from {percent(v[0] / size)} to {percent(v[-1] / size)}" for level, size, _, v in curves
    )
    return Chart(
        f"Capacity by {weighting} as embeddings move",
        "K_eff as a share of K, when every embedding is shaken by η times its natural spread. Curves that stay "
        "high are good; a steep fall means that small changes flip codes. "
        f"The dashed line is the headline η, {number(eta)}.",
        inline(drawn, f"curve-{weighting}", f"Effective share of the codes over eta by {weighting}: {words}"),
    )


def _points(rows: Iterable[MetricRow]) -> list[tuple[float, float, float]]:
    return [(row.eta, row.value, 2 * (finite(row.standard_error) or 0.0)) for row in rows if row.eta is not None]


def _whole(data: ReportData) -> Chart | None:
    points = _points(row for row in data.figures.by_ruler(Metric.EFFECTIVE_CAPACITY, Ruler.LATENT) if not row.level)
    sids = data.figures.value(Metric.UNIQUE_SIDS)
    return _whole_sids(points, sids, data.headline_eta) if len(points) > 1 else None


def _whole_sids(points: Points, sids: float | None, eta: float) -> Chart:
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


def _changed(data: ReportData, ruler: Ruler) -> list[MetricRow]:
    """Flip rates of the levels, and 1 - survival for whole SIDs."""
    survival = [
        MetricRow(row.metric, 0, row.weighting, row.eta, 1 - row.value, row.standard_error, row.ruler)
        for row in data.figures.by_ruler(Metric.SID_SURVIVAL, ruler)
    ]
    return [*data.figures.by_ruler(Metric.FLIP_RATE, ruler), *survival]


def _flips(data: ReportData) -> list[Chart]:
    charts = []
    for ruler in (Ruler.LATENT, Ruler.INPUT):
        rows = _changed(data, ruler)
        levels = sorted({row.level for row in rows}, key=lambda level: level or len(data.codebook_sizes) + 1)
        curves = [(level, _points(row for row in rows if row.level == level)) for level in levels]
        drawn = [(level, points) for level, points in curves if len(points) > 1]
        if drawn:
            charts.append(_flip_curves(drawn, ruler))
    return charts


def _flip_curves(curves: Sequence[tuple[int, Points]], ruler: Ruler) -> Chart:
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


def _after(data: ReportData) -> Chart | None:
    rows = _changed(data, Ruler.AFTER)
    return _version_dots([(row.level, Dot(row.value, finite(row.standard_error))) for row in rows]) if rows else None


def _version_dots(rows: Sequence[tuple[int, Dot]]) -> Chart:
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


def _ruler(row: MetricRow) -> str:
    return _RULERS[row.ruler or Ruler.LATENT.value].format("" if row.eta is None else number(row.eta))


def _by_ruler(rows: Iterable[MetricRow]) -> dict[str, dict[int, MetricRow]]:
    """Rows by ruler and size of the noise, then by level."""
    found: dict[str, dict[int, MetricRow]] = {}
    for row in rows:
        found.setdefault(_ruler(row), {})[row.level] = row
    return found


def _sigma(data: ReportData) -> list[Fact]:
    """What noise on the embeddings, or their second version, is in latent space, and which eta that would be."""
    facts = []
    for words, levels in _by_ruler(data.figures.by_ruler(Metric.SIGMA, *_SAME_FOR_ALL)).items():
        units = {level: unit for level, unit in enumerate(data.sigma_units, 1) if finite(unit)}
        sigmas = [three_digits(row.value) for row in levels.values()]
        etas = [three_digits(row.value / units[level]) for level, row in levels.items() if level in units]
        same = f"; as η = {' · '.join(dict.fromkeys(etas))}" if etas else ""
        facts.append(Fact(f"σ of {words}", " · ".join(dict.fromkeys(sigmas)), f"RMS per effective coordinate{same}"))
    return facts


def _other_rulers(data: ReportData) -> Table | None:
    """K_eff under noise on the embeddings and between two versions: comparable between tokenizers."""
    rows = data.figures.by_ruler(Metric.EFFECTIVE_CAPACITY, *_SAME_FOR_ALL)
    if not rows:
        return None
    levels = sorted({row.level for row in rows}, key=lambda level: level or len(data.codebook_sizes) + 1)
    head = ("", *(f"level {level}" if level else "whole SIDs" for level in levels))
    body = tuple(
        (words, *(_with_error(found[level]) if level in found else MISSING for level in levels))
        for words, found in _by_ruler(rows).items()
    )
    return Table("K_eff by rulers that are the same for every tokenizer", head, body)


def _with_error(row: MetricRow) -> str:
    error = finite(row.standard_error)
    return three_digits(row.value) + (f" ± {three_digits(error)}" if error else "")


def _confusion(pair: Confusion) -> tuple[str, Sid, list[str], Sid, list[str], str]:
    """Level, code and items, other code and items, how many items changed."""
    code, other = (_code(pair.level, each) for each in (pair.code, pair.other))
    names, others = ([sid(name, (0,)).name for name in some[:_NAMED]] for some in (pair.names, pair.other_names))
    return str(pair.level), code, names, other, others, number(pair.items)


def _code(level: int, code: int) -> Sid:
    """The token of one code of a level."""
    whole = sid("", (0,) * (level - 1) + (code,))
    return Sid("", whole.tokens[-1:])


def _at_risk(data: ReportData) -> list[tuple[Sid, str, str, str]]:
    """Item with SID, level, margin, exposure."""
    return [
        (
            sid(item.name, item.codes),
            str(item.level),
            number(item.margin),
            MISSING if finite(item.exposure) is None else number(float(item.exposure or 0.0)),
        )
        for item in data.at_risk
        if finite(item.margin) is not None
    ]
