"""A plan on the terminal and in files: the table, the proposal, plan.json and plan.png."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from drq_spark.files import write_bytes
from drq_spark.page.numbers import two_digit_percent
from drq_spark.plan.chart import draw
from drq_spark.plan.extrapolation import CONFIDENCE, Estimate
from drq_spark.plan.proposal import Candidate, Plan, described


def write_plan(plan: Plan, folder: str) -> None:
    """Write plan.json and plan.png into a folder, over what an earlier plan left.

    Raises:
        OSError: it cannot be written.
    """
    write_bytes(f"{folder}/plan.json", json.dumps(described(plan), indent=1, allow_nan=False).encode())
    write_bytes(f"{folder}/plan.png", draw(plan))


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
    nearest = plan.nearest.shape
    options = f"--levels {nearest.levels} --codes {nearest.codes}"
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
    for heading in ("K", "L", "SIDs", "in sample", "duplicates", "excess", "shared", "K_eff / K", "rel. MSE", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in plan.candidates:
        table.add_row(*_cells(one, plan), style="bold" if one is plan.chosen else None)
    return table


def _cells(one: Candidate, plan: Plan) -> Iterator[str]:
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
