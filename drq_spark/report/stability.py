"""What the page says of noise: whole SIDs, flips, the rulers, confused codes and items at risk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from drq_spark.metrics import Metric, Ruler
from drq_spark.page.drawing import Dot
from drq_spark.page.elements import Chart, Fact, Sid, Table
from drq_spark.page.numbers import finite, number, three_digits
from drq_spark.report import noise
from drq_spark.report.cells import MISSING, sid
from drq_spark.report.data import Confusion, MetricRow, ReportData

_NAMED = 3
_RULERS = {
    Ruler.LATENT.value: "noise on the latents, η = {}",
    Ruler.INPUT.value: "noise on the embeddings, ρ = {}",
    Ruler.AFTER.value: "change between the two versions",
}


def parts(data: ReportData) -> dict[str, Any]:
    """Template values; a part without figures is empty."""
    return {
        "whole_sentence": _whole_sentence(data),
        "noise_charts": [chart for chart in (_whole(data), *_flips(data), _after(data)) if chart is not None],
        "ruler_facts": _sigma(data),
        "ruler_table": _other_rulers(data),
        "confusions": [_confusion(pair) for pair in data.confusions],
        "at_risk": _at_risk(data),
        "risk_exposure": any(finite(item.exposure) is not None for item in data.at_risk),
        "eta": number(data.headline_eta),
    }


_SAME_FOR_ALL = (Ruler.INPUT, Ruler.AFTER)  # tokenizers can be compared by them


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


def _points(rows: Iterable[MetricRow]) -> list[tuple[float, float, float]]:
    return [(row.eta, row.value, 2 * (finite(row.standard_error) or 0.0)) for row in rows if row.eta is not None]


def _whole(data: ReportData) -> Chart | None:
    points = _points(row for row in data.figures.by_ruler(Metric.EFFECTIVE_CAPACITY, Ruler.LATENT) if not row.level)
    sids = data.figures.value(Metric.UNIQUE_SIDS)
    return noise.whole_sids(points, sids, data.headline_eta) if len(points) > 1 else None


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
            charts.append(noise.flips(drawn, ruler))
    return charts


def _after(data: ReportData) -> Chart | None:
    rows = _changed(data, Ruler.AFTER)
    return noise.after([(row.level, Dot(row.value, finite(row.standard_error))) for row in rows]) if rows else None


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
