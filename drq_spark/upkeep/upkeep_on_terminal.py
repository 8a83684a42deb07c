"""History and clearances on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from drq_spark.metrics import Metric
from drq_spark.page.numbers import in_column
from drq_spark.schemas import LIVE, Change
from drq_spark.upkeep.history import Past
from drq_spark.upkeep.standing_of_store import StandingOfStore
from drq_spark.upkeep.vacuum import Clearance

_CHANGES = (Change.ADDED, Change.MOVED, Change.REMOVED)


def show_history(console: Console, past: Sequence[Past], followed: Mapping[str, str]) -> None:
    """Print the runs in a table, those that readers follow with a mark, and channels where there are several.

    Args:
        console, past: Where, and what.
        followed: Channel -> run that its readers follow.
    """
    several = {LIVE} != {LIVE, *followed, *(one.state.channel for one in past)}
    caption = "* readers follow it. dup.: duplicates, 1 - SIDs / items. MSE: relative."
    # a space between columns and none around: numbers of a million items fit 80 columns
    table = Table(caption=caption, caption_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=0)
    for heading in ("run", "", "status"):
        table.add_column(heading, no_wrap=True)
    for heading in ("items", "added", "moved", "removed", "dup.", "MSE"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in past:
        state = one.state
        rows = "" if state.rows_out is None else f"{state.rows_out:,}"
        changes = [f"{one.changes.get(change, 0):,}" if one.changes else "" for change in _CHANGES]
        readers = [f"*{channel}" if several else "*" for channel, run_id in followed.items() if run_id == state.run_id]
        if several and f"*{state.channel}" not in readers:
            readers.append(state.channel)
        table.add_row(
            state.run_id, " ".join(readers), state.status, rows, *changes,
            in_column(one.figures.get(Metric.DUPLICATE_RATE), ".1%"),
            in_column(one.figures.get(Metric.RELATIVE_MSE), ".3f"),
        )  # fmt: skip
    console.print(table)


def show_standing(console: Console, found: StandingOfStore) -> None:
    """Print what readers follow, who is at work, and what was left on the way."""
    if not found.followed:
        console.print("readers follow nothing yet")
    for channel, (run, version) in found.followed.items():
        whose, table = ("", "current_sids") if channel == LIVE else (f" of {channel}", f"current_sids_{channel}")
        at = "" if version is None else f", {table} at version {version}"
        told = f"readers{whose} follow {run.run_id}: {run.rows_out or 0:,} items, tokenizer {run.tokenizer_id}{at}"
        console.print(told, highlight=False, soft_wrap=True)
    console.print("nobody is at work" if found.at_work is None else f"at work: {found.at_work}", highlight=False)
    for run in found.unfinished:
        steps = ", ".join(run.seconds) or "no step"
        console.print(f"not ended: {run.run_id} ({run.status}; done: {steps})", highlight=False)
    if found.unfinished and found.at_work is None:
        console.print("The same command as before takes a run up again where it was left.")


def show_clearance(console: Console, found: Clearance, rows: Mapping[str, int], *, done: bool) -> None:
    """Print what goes, or has gone."""
    verb = "cleared away" if done else "would go"
    if not (found.runs or found.tokenizers or found.rankers):
        console.print("Nothing to clear away.")
    for state in found.runs:
        console.print(f"run {state.run_id} ({state.status}) {verb}", highlight=False)
    for name, count in rows.items():
        console.print(f"  {count:,} rows of {name}", highlight=False)
    for name in found.tokenizers:
        console.print(f"tokenizer {name} {verb}", highlight=False)
    for name in found.rankers:
        console.print(f"ranker {name} {verb}", highlight=False)
    if not done:
        console.print("Nothing was deleted: --yes does it.")
