"""The page about a run as one HTML file that needs nothing else: no network, no fonts, no script but its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drq_spark.page.environment import page
from drq_spark.page.svg import drawing
from drq_spark.report.advice import on_page as advice
from drq_spark.report.data import ReportData
from drq_spark.report.glossary import GLOSSARY, linked
from drq_spark.report.sections import (
    change_since_last_run,
    collisions,
    effective_capacity,
    explorer,
    fidelity,
    gate_rules,
    information_per_level,
    key_figures,
    neighbours_and_behaviour,
    quarantine,
    run_details,
    sample_items,
    under_perturbation,
    use_of_codes,
    verdict,
)

SECTIONS: tuple[Callable[[ReportData], Mapping[str, Any]], ...] = (
    verdict.parts,
    advice.parts,
    gate_rules.parts,
    key_figures.parts,
    use_of_codes.parts,
    effective_capacity.parts,
    under_perturbation.parts,
    collisions.parts,
    information_per_level.parts,
    neighbours_and_behaviour.parts,
    sample_items.parts,
    explorer.parts,
    change_since_last_run.parts,
    fidelity.parts,
    quarantine.parts,
    run_details.parts,
)
"""In the order of the page. Each gives what its part of `report.html.j2` shows, by names that no other one gives."""


def render(data: ReportData) -> str:
    """The page about a run. The same data give the same text.

    Item names and every other text from outside are escaped by the template; figures that are missing or not finite
    leave their part of the page out.
    """
    with drawing():
        shown = {name: value for parts in SECTIONS for name, value in parts(data).items()}
    return page("report", "report", len(data.codebook_sizes), data=data, glossary=GLOSSARY, linked=linked, **shown)
