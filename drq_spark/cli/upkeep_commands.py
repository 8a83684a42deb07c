"""Between the nights: what has been, and what may go."""

from __future__ import annotations

from typing import Annotated

import typer

from drq_spark.cli.options import DriverMemory, OutOfRun, SchemaOfRun
from drq_spark.cli.surroundings import out_console, store_of, watcher


def history(
    out: OutOfRun,
    schema: SchemaOfRun = None,
    most: Annotated[int, typer.Option("--last", min=1, help="How many runs, newest first.")] = 30,
    html: Annotated[
        str | None, typer.Option("--html", help="Write a page, too: figures of the published runs as lines.")
    ] = None,
    driver_memory: DriverMemory = None,
) -> None:
    """The runs so far: how each ended, what it changed for readers, and its main figures."""
    from drq_spark.files import absolute, write_bytes
    from drq_spark.run_state import pointers
    from drq_spark.upkeep.history import history as runs_so_far
    from drq_spark.upkeep.upkeep_on_terminal import show_history

    store = store_of(out, schema)
    past = runs_so_far(store, most)
    show_history(out_console, past, pointers(store))
    if html is not None:
        from drq_spark.upkeep.history_page import render

        write_bytes(absolute(html), render(past, store.out).encode())
        out_console.print(f"  page  {html}", highlight=False, soft_wrap=True)


def status(out: OutOfRun, schema: SchemaOfRun = None, driver_memory: DriverMemory = None) -> None:
    """What readers follow, who is at work, and which runs were left on the way."""
    from drq_spark.upkeep.standing_of_store import standing_of
    from drq_spark.upkeep.upkeep_on_terminal import show_standing

    show_standing(out_console, standing_of(store_of(out, schema)))


def vacuum(
    out: OutOfRun,
    keep: Annotated[
        int, typer.Option("--keep", min=1, help="Runs of each channel that stay; those readers follow always do.")
    ],
    retain_hours: Annotated[
        float, typer.Option("--retain-hours", min=0, help="Files of older versions stay that long for their readers.")
    ] = 168.0,
    optimize: Annotated[
        bool,
        typer.Option("--optimize", help="Compact the small files of sids and current_sids, too (Delta's OPTIMIZE)."),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete; without it nothing is, and what would go is told.")
    ] = False,
    schema: SchemaOfRun = None,
    driver_memory: DriverMemory = None,
) -> None:
    """Clear away what runs before the latest ones have left: rows, tokenizers, rankers, files of old versions."""
    from drq_spark.lease import Lease
    from drq_spark.runs import open_run
    from drq_spark.upkeep.upkeep_on_terminal import show_clearance
    from drq_spark.upkeep.vacuum import clear, clearance, rows_of

    store = store_of(out, schema)
    lease = Lease(store)
    lease.wait(watcher().heading)
    run = open_run(store, None, watcher(), lease)
    found = clearance(run, keep)
    rows = rows_of(store, found)
    if yes:
        with run.tidied():
            clear(run, found, retain_hours, optimize=optimize)
    show_clearance(out_console, found, rows, done=yes)
