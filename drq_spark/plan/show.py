"""A plan on the terminal and in files: the table, the proposal, plan.json and plan.html."""

from __future__ import annotations

import json

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from drq_spark.files import write_bytes
from drq_spark.plan.extrapolation import CONFIDENCE
from drq_spark.plan.plan_page import HEADINGS, cells, options_of, render
from drq_spark.plan.proposal import Plan, described


def write_plan(plan: Plan, folder: str, source: str) -> None:
    """Write plan.json and plan.html into a folder, over what an earlier plan left; `source` names the catalogue.

    Raises:
        OSError: it cannot be written.
    """
    write_bytes(f"{folder}/plan.json", json.dumps(described(plan), indent=1, allow_nan=False).encode())
    write_bytes(f"{folder}/plan.html", render(plan, source).encode())


def show_plan(console: Console, plan: Plan) -> None:
    """Print the shapes in a table, and the proposal with the options that give it."""
    console.print(_table(plan))
    catalogue = plan.catalogue
    console.print(
        f"{catalogue.items:,} items, of which equal embeddings make {catalogue.exact_duplicate_rate:.2%} duplicates "
        f"that no shape avoids; excess is what comes on top. In brackets: {CONFIDENCE:.0%} intervals.",
        highlight=False,
    )
    if plan.chosen is None:
        console.print(f"[red]No proposal:[/] {plan.reason}", highlight=False, soft_wrap=True)
    options = options_of(plan)
    if plan.chosen is None:
        console.print(f"Nearest: {options}", highlight=False)
    else:
        console.print(f"[green]Proposal:[/] {options}, {plan.reason}", highlight=False, soft_wrap=True)


def _table(plan: Plan) -> Table:
    table = Table(
        title=f"Shapes, fitted on {plan.catalogue.sample:,} items, extrapolated to {plan.catalogue.items:,}",
        caption=f"K_eff / K: smallest of the levels, eta {plan.catalogue.eta:g}. in sample: duplicates as counted.",
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
    )
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for one in plan.candidates:
        table.add_row(*cells(one, plan), style="bold" if one is plan.chosen else None)
    return table
