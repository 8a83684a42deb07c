"""`drq run` and `drq demo`, and the steps of a run alone, but for `drq measure`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from drq_spark.cli.options import (
    After,
    Channel,
    Codes,
    ConfigFiles,
    DriverMemory,
    DryRun,
    Events,
    Items,
    Levels,
    Name,
    Out,
    OutOfRun,
    Retrain,
    RunDate,
    RunId,
    SchemaOfRun,
    Seed,
    Settings,
    Source,
    as_settings,
    named,
)
from drq_spark.cli.surroundings import config_of, day, demo_data, finish, now, out_console, session, store_of, watcher
from drq_spark.errors import InputRefused
from drq_spark.files import absolute
from drq_spark.schemas import LIVE

if TYPE_CHECKING:  # what commands load when they run, so that `drq --help` is quick
    from drq_spark.config import Config


def run(
    items: Items = None,
    events: Events = None,
    out: Out = None,
    tokenizer: Name = None,
    levels: Levels = None,
    codes: Codes = None,
    seed: Seed = None,
    tokenizer_from: Source = None,
    channel: Channel = None,
    config: ConfigFiles = None,
    settings: Settings = None,
    run_date: RunDate = None,
    dry_run: DryRun = False,
    embeddings_after: After = None,
    driver_memory: DriverMemory = None,
) -> None:
    """All steps, from an items table to published SIDs, figures and a report."""
    options = as_settings(items, events, out, tokenizer, levels, codes, seed)
    options |= named({"measure.embeddings_after": embeddings_after, "tokenizer.source": tokenizer_from})
    options |= named({"store.channel": channel})
    _run(config_of(config, options, settings), run_date, dry_run)


def nightly(
    items: Items = None,
    events: Events = None,
    out: Out = None,
    tokenizer: Name = None,
    levels: Levels = None,
    codes: Codes = None,
    seed: Seed = None,
    config: ConfigFiles = None,
    settings: Settings = None,
    run_date: RunDate = None,
    retrain: Retrain = False,
    channel: Channel = None,
    dry_run: DryRun = False,
    embeddings_after: After = None,
    driver_memory: DriverMemory = None,
) -> None:
    """Carry the published SIDs on: items that are new or have another embedding get one, all others keep theirs.

    The first night is drq run; what describes a tokenizer counts there only. With --retrain a tokenizer is trained from
    the published one and every item gets its SID anew: the same where it can. A --channel of which nothing is published
    yet begins where the readers of live are.
    """
    options = as_settings(items, events, out, tokenizer, levels, codes, seed)
    options |= named({"measure.embeddings_after": embeddings_after, "store.channel": channel})
    _run(config_of(config, options, settings), run_date, dry_run, night=True, retrain=retrain)


def demo(
    out: Annotated[str, typer.Option("--out", help="Folder for the results.")] = "build/demo",
    settings: Settings = None,
    driver_memory: DriverMemory = None,
) -> None:
    """`drq run` on the bundled catalogue: the 5,000 most depended-on packages of a Linux distribution."""
    folder = demo_data()
    options = {
        "items.path": str(folder / "items.parquet"),
        "events.path": str(folder / "events.parquet"),
        "store.out": absolute(out),
    }
    out_console.print("The catalogue: 5,000 software packages, their descriptions embedded, and what depends on what.")
    config = config_of([folder / "columns.yaml"], options, settings)
    _run(config, None, dry_run=False)


def sample(
    items: Items = None,
    events: Events = None,
    out: Out = None,
    tokenizer: Name = None,
    levels: Levels = None,
    codes: Codes = None,
    seed: Seed = None,
    config: ConfigFiles = None,
    settings: Settings = None,
    run_date: RunDate = None,
    driver_memory: DriverMemory = None,
) -> None:
    """Begin a run and draw its sample; train, assign, measure and publish take it up."""
    from drq_spark import pipeline
    from drq_spark.console import show_notes

    resolved = config_of(config, as_settings(items, events, out, tokenizer, levels, codes, seed), settings)
    begun, catalogue = pipeline.begin(session(resolved), resolved, day(run_date), now(), watcher())
    with begun.tidied():
        pipeline.sample(begun, catalogue)
    show_notes(out_console, begun.state.notes)
    out_console.print(f"run {begun.state.run_id}")


def train(out: OutOfRun, run_id: RunId = None, schema: SchemaOfRun = None, driver_memory: DriverMemory = None) -> None:
    """Train the tokenizer on the sample of a run."""
    from drq_spark import pipeline, runs

    resumed = runs.resume(store_of(out, schema), run_id, watcher())
    with resumed.tidied():
        pipeline.train(resumed)


def assign(out: OutOfRun, run_id: RunId = None, schema: SchemaOfRun = None, driver_memory: DriverMemory = None) -> None:
    """Give every item of a run its SID."""
    from drq_spark import pipeline, runs

    resumed = runs.resume(store_of(out, schema), run_id, watcher())
    with resumed.tidied():
        pipeline.assign(resumed, pipeline.catalogue_of(resumed))


def publish(
    out: OutOfRun,
    run_id: RunId = None,
    channel: Annotated[
        str | None, typer.Option("--channel", help="Whose readers are moved; those the run was made for without it.")
    ] = None,
    schema: SchemaOfRun = None,
    driver_memory: DriverMemory = None,
) -> None:
    """Judge the figures of a run, write its report, and move the published pointer if the gate is passed.

    Readers are moved back to an older run, or to one that was made for another channel, only if --run names it.
    """
    from drq_spark import pipeline, runs
    from drq_spark.outcome import outcome_of
    from drq_spark.upkeep.way_back import refuse_gone

    store = store_of(out, schema, channel or LIVE)
    if run_id is not None:
        refuse_gone(store, run_id)
    resumed = runs.resume(store, run_id, watcher(), channel)
    with resumed.tidied():
        pipeline.publish(resumed, back=run_id is not None)
    finish(outcome_of(resumed, repeated=False), resumed.config, resumed.store)


def report(out: OutOfRun, run_id: RunId = None, schema: SchemaOfRun = None, driver_memory: DriverMemory = None) -> None:
    """Write the report of a run again."""
    from drq_spark.report.step import write_report
    from drq_spark.runs import open_run

    opened = open_run(store_of(out, schema), run_id, watcher())
    write_report(opened)
    out_console.print(f"report {opened.store.report}", soft_wrap=True)


def _run(
    config: Config, run_date: datetime | None, dry_run: bool, *, night: bool = False, retrain: bool = False
) -> None:
    from drq_spark import pipeline
    from drq_spark.preview import preview, preview_night
    from drq_spark.store import named_store, open_store

    spark = session(config, night=night and not retrain)
    if dry_run and night:
        plan, refusal = preview_night(named_store(spark, config), config, day(run_date), retrain=retrain)
        _show_plan(config, plan)
        if refusal is not None:
            raise InputRefused(refusal)
        return
    if dry_run:
        _show_plan(config, preview(spark, config))
        return
    done = pipeline.run_all(spark, config, day(run_date), now(), watcher(), night=night, retrain=retrain)
    finish(done, config, open_store(spark, config))


def _show_plan(config: Config, plan: Mapping[str, str]) -> None:
    import yaml

    out_console.print(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), markup=False, highlight=False)
    for name, value in plan.items():
        out_console.print(f"{name:<28} {value}", markup=False, highlight=False)
    out_console.print("Dry run: nothing was written.")
