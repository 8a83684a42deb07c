"""ReportData -> one HTML page that needs nothing else: no network, no scripts, no fonts."""

from __future__ import annotations

from math import log
from typing import Any

from drq_spark.metrics import EXPOSURE, ITEMS, Metric, Ruler
from drq_spark.page.elements import Chart
from drq_spark.page.environment import environment
from drq_spark.page.numbers import finite, number, percent
from drq_spark.page.palette import level_colours
from drq_spark.page.svg import drawing
from drq_spark.report import behaviour, charts, stability, structure
from drq_spark.report import cells as tables
from drq_spark.report.advice import on_page
from drq_spark.report.data import ReportData
from drq_spark.report.verdict import capacity_parts, findings, verdict

WEIGHTINGS = (ITEMS, EXPOSURE)


def render(data: ReportData) -> str:
    """The page about a run. The same data give the same text.

    Item names and every other text from outside are escaped by the template; figures that are missing or not finite
    leave their part of the page out.
    """
    with drawing():
        parts = {**_overview(data), **_capacity(data), **_sids(data), **_details(data)}
        parts |= {**structure.parts(data), **stability.parts(data), **behaviour.parts(data), **on_page.parts(data)}
    return environment("drq_spark.report").get_template("report.html.j2").render(data=data, **parts)


def _overview(data: ReportData) -> dict[str, Any]:
    return {
        "verdict": verdict(data),
        "findings": findings(data),
        "gate": [(rule, tables.gate_value(rule)) for rule in data.gate],
        "cards": tables.cards(data),
        "level_colours": level_colours(len(data.codebook_sizes)),
    }


def _capacity(data: ReportData) -> dict[str, Any]:
    return {
        "usage": _usage(data),
        "usage_by_exposure": any(use.exposure is not None and use.exposure.sum() > 0 for use in data.usage),
        "capacity": [chart for name in WEIGHTINGS if (chart := _capacity_chart(data, name))],
        "curves": [chart for name in WEIGHTINGS if (chart := _curve_chart(data, name))],
        "level_tables": [table for name in WEIGHTINGS if (table := tables.level_table(data, name))],
    }


def _usage(data: ReportData) -> list[Chart]:
    lowest = charts.lowest_ratio(
        [counts for use in data.usage for counts in (use.items, use.exposure) if counts is not None]
    )
    return [charts.usage(level, use.items, use.exposure, lowest) for level, use in enumerate(data.usage, 1)]


def _capacity_chart(data: ReportData, weighting: str) -> Chart | None:
    rows = [
        (level, size, *parts)
        for level, size in enumerate(data.codebook_sizes, 1)
        if (parts := capacity_parts(data, level, weighting)) is not None
    ]
    return charts.capacity(rows, weighting, data.headline_eta) if rows else None


def _curve_chart(data: ReportData, weighting: str) -> Chart | None:
    curves = []
    for level, size in enumerate(data.codebook_sizes, 1):
        points = [
            (row.eta, row.value)
            for row in data.figures.by_ruler(Metric.EFFECTIVE_CAPACITY, Ruler.LATENT, weighting=weighting)
            if row.level == level and row.eta and row.value
        ]
        if len(points) > 1:
            curves.append((level, size, [eta for eta, _ in points], [value for _, value in points]))
    return charts.capacity_curve(curves, weighting, data.headline_eta) if curves else None


def _sids(data: ReportData) -> dict[str, Any]:
    return {
        "collisions": _collisions(data),
        "collision_facts": tables.collision_facts(data),
        "buckets": [tables.bucket(entry) for entry in data.buckets if entry.items > 1],
        "with_embeddings": any(entry.distinct_embeddings is not None for entry in data.buckets),
        "with_exposure": any(finite(entry.exposure) is not None for entry in data.buckets),
        "entropies": _entropies(data),
        "entropy_tables": [table for name in WEIGHTINGS if (table := tables.entropy_table(data, name))],
        "entropy_sentence": _entropy_sentence(data),
        "examples": [tables.example(item) for item in data.examples],
        "churn": _churn(data),
        "churn_table": tables.churn_table(data),
        "churn_sentence": _churn_sentence(data),
    }


def _collisions(data: ReportData) -> Chart | None:
    surplus, exact, shared = (
        data.figures.value(metric)
        for metric in (Metric.DUPLICATE_RATE, Metric.EXACT_DUPLICATE_RATE, Metric.SHARED_RATE)
    )
    return charts.collisions(surplus, exact, shared) if surplus else None


def _by_level(data: ReportData, metric: Metric) -> dict[int, float]:
    found = data.figures.per_level(metric, len(data.codebook_sizes))
    return {level: value for level, value in enumerate(found, 1) if value is not None}


def _entropies(data: ReportData) -> Chart | None:
    nats = _by_level(data, Metric.CONDITIONAL_ENTROPY)
    return (
        charts.entropies([(level, h, log(data.codebook_sizes[level - 1])) for level, h in nats.items()])
        if nats
        else None
    )


def _entropy_sentence(data: ReportData) -> str:
    total = _by_level(data, Metric.PREFIX_ENTROPY).get(len(data.codebook_sizes))
    if total is None or data.rows_out < 2:
        return ""
    most = log(data.rows_out)
    return (
        f"Whole SIDs carry {total:.3g} of the {most:.3g} nats (ln N) that tell {number(data.rows_out)} items apart, "
        f"{percent(min(1.0, total / most))} of them."
    )


def _churn(data: ReportData) -> Chart | None:
    raw, matched = _by_level(data, Metric.CHURN), _by_level(data, Metric.CHURN_MATCHED)
    return charts.churn([(level, value, matched.get(level)) for level, value in raw.items()]) if raw else None


def _churn_sentence(data: ReportData) -> str:
    moved = data.figures.value(Metric.CHURN)
    return f"{percent(moved)} of the items have another SID than before." if moved is not None else ""


def _details(data: ReportData) -> dict[str, Any]:
    shares = _by_level(data, Metric.RESIDUAL_SHARE)
    return {
        "fidelity_facts": tables.fidelity_facts(data),
        "residuals": charts.residuals(list(shares.items())) if shares else None,
        "margin_table": tables.margin_table(data),
        "quarantine": tables.quarantine(data),
        "steps": tables.step_times(data),
        "run_settings": [(key, value) for key, value in data.run.items() if value],
        "tokenizer_settings": _tokenizer(data),
        "training_settings": tables.settings(data.training),
        "config_settings": tables.settings(data.config),
        "all_figures": tables.all_figures(data),
    }


def _tokenizer(data: ReportData) -> list[tuple[str, str]]:
    sizes = data.codebook_sizes
    known = [
        ("id", data.tokenizer_id),
        ("kind", data.kind),
        (
            "levels × codes",
            f"{len(sizes)} × {number(sizes[0])}" if len(set(sizes)) == 1 else ", ".join(map(number, sizes)),
        ),
        ("embedding dimension D", number(data.dim) if data.dim else ""),
        ("latent dimension d", number(data.latent_dim) if data.latent_dim else ""),
        ("normalize", data.normalize if data.dim else ""),
        ("σ at η = 1", ", ".join(dict.fromkeys(_sigma(unit) for unit in data.sigma_units))),
    ]
    return [(key, value) for key, value in known if value]


def _sigma(unit: float) -> str:
    return number(unit) if finite(unit) is not None else tables.MISSING
