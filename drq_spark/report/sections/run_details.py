"""What the run was, with all its settings and every figure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from drq_spark.page.elements import Meter, Table
from drq_spark.page.numbers import duration, finite, number
from drq_spark.report.cells import MISSING, meters
from drq_spark.report.data import ReportData


def parts(data: ReportData) -> dict[str, Any]:
    """What the section shows, by the names in its template."""
    return {
        "steps": _step_times(data),
        "run_settings": [(key, value) for key, value in data.run.items() if value],
        "tokenizer_settings": _tokenizer(data),
        "training_settings": _settings(data.training),
        "config_settings": _settings(data.config),
        "all_figures": _all_figures(data),
    }


def _step_times(data: ReportData) -> list[Meter]:
    """Wall-clock time per step."""
    return meters([(step, seconds) for step, seconds in data.seconds.items() if finite(seconds) is not None], duration)


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
    return number(unit) if finite(unit) is not None else MISSING


def _settings(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Nested settings as (dotted key, text) in their order."""
    lines: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            lines += [(f"{key}.{rest}", text) for rest, text in _settings(value)]
        else:
            lines.append(
                (str(key), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
            )
    return lines


def _all_figures(data: ReportData) -> Table:
    """The rows of the metrics table as they are, for whoever writes gate rules."""
    rows = tuple(
        (
            row.metric,
            str(row.level),
            row.weighting,
            MISSING if row.eta is None else number(row.eta),
            row.ruler or MISSING,
            f"{row.value:.6g}",
            MISSING if finite(row.standard_error) is None else f"{row.standard_error:.2g}",
        )
        for row in data.metrics
        if finite(row.value) is not None
    )
    head = ("metric", "level", "weighting", "η or ρ", "noise on", "value", "standard error")
    return Table("Every figure of the run", head, rows)
