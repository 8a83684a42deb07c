"""Commands beside a run: which tokenizer is best, what SIDs are worth, how many codes it needs, what an artifact is."""

from __future__ import annotations

from typing import Annotated

import typer

from drq_spark.addresses import short_path
from drq_spark.cli.options import (
    Channel,
    Codes,
    ConfigFiles,
    DriverMemory,
    Events,
    Items,
    Levels,
    Out,
    RunDate,
    Seed,
    Settings,
    as_settings,
    named,
)
from drq_spark.cli.surroundings import config_of, day, demo_data, now, out_console, session, watcher
from drq_spark.errors import ConfigError
from drq_spark.files import absolute, write_bytes
from drq_spark.kinds import NAMES
from drq_spark.probe.downstream_models import NAMES as MODEL_NAMES
from drq_spark.probe.event_parts import Split

_QUICK_ITEMS = 100_000  # as many as a session for small data writes in no time


def compare(
    tokenizers: Annotated[str, typer.Option("--tokenizers", help=f"Names, separated by commas: {NAMES}.")],
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=20, help="How many seeds, from --seed on.")] = 1,
    items: Items = None,
    events: Events = None,
    out: Out = None,
    levels: Levels = None,
    codes: Codes = None,
    seed: Seed = None,
    config: ConfigFiles = None,
    settings: Settings = None,
    run_date: RunDate = None,
    driver_memory: DriverMemory = None,
) -> None:
    """Measure several tokenizers on the same samples: one table, the Pareto front, winners beyond the noise."""
    from drq_spark.compare.comparison_page import render
    from drq_spark.compare.trials import compare as compare_runs
    from drq_spark.console import show_comparison
    from drq_spark.store import open_store

    resolved = config_of(config, as_settings(items, events, out, None, levels, codes, seed), settings)
    chosen = [name.strip() for name in tokenizers.split(",")]
    numbers = range(resolved.seed, resolved.seed + seeds)
    spark = session(resolved)
    store = open_store(spark, resolved)
    compared = compare_runs(spark, resolved, chosen, numbers, day(run_date), now(), watcher())
    page = f"{store.out}/compare.html"
    write_bytes(page, render(compared, short_path(str(resolved.items.path))).encode())
    show_comparison(out_console, compared, page)


def plan(
    items: Items = None,
    out: Annotated[str | None, typer.Option("--out", help="Folder for plan.json and plan.html.")] = None,
    target_duplicate_rate: Annotated[
        float, typer.Option("--target-duplicate-rate", help="Most duplicates beyond those of equal embeddings.")
    ] = 0.02,
    target_k_eff: Annotated[
        float | None, typer.Option("--target-k-eff", help="Least K_eff / K of every level; any will do without it.")
    ] = None,
    codes: Annotated[
        list[int] | None,
        typer.Option("--codes", metavar="K", help="Codes a level to try, repeatable; else 64, 128, .. 4096."),
    ] = None,
    levels: Annotated[
        list[int] | None, typer.Option("--levels", metavar="L", help="Levels to try, repeatable; 2 to 6 without it.")
    ] = None,
    seed: Seed = None,
    config: ConfigFiles = None,
    settings: Settings = None,
    driver_memory: DriverMemory = None,
) -> None:
    """Propose codes and levels: cheap fits on the sample, extrapolated to the catalogue; starts no run."""
    from drq_spark.plan.grid import LEVELS
    from drq_spark.plan.planner import make_plan
    from drq_spark.plan.proposal import Targets
    from drq_spark.plan.show import show_plan, write_plan

    targets = Targets(target_duplicate_rate, target_k_eff)
    resolved = config_of(config, as_settings(items, out=out, seed=seed), settings)
    made = make_plan(session(resolved), resolved, targets, codes or None, levels or LEVELS, watcher())
    if resolved.store.out is not None:
        write_plan(made, absolute(resolved.store.out), short_path(str(resolved.items.path)))
    show_plan(out_console, made)


def synth(
    out: Annotated[str, typer.Option("--out", help="Folder for items, events and columns.yaml.")],
    n_items: Annotated[int, typer.Option("--n-items", min=1, max=10**11, help="How many items.")] = 100_000,
    n_users: Annotated[int, typer.Option("--n-users", min=1, max=10**11, help="How many users with events.")] = 20_000,
    like: Annotated[
        str | None, typer.Option("--like", help="Real items to be like: path, glob or table; else the demo's.")
    ] = None,
    seed: Seed = None,
    config: ConfigFiles = None,
    settings: Settings = None,
    driver_memory: DriverMemory = None,
) -> None:
    """Write a synthetic catalogue with events, of any size, that is like a real one: for trials of speed and scale."""
    from drq_spark.synth.likeness import Shape
    from drq_spark.synth.step import synthesize

    demo = demo_data()
    files = [*(config or ())] if like else [demo / "columns.yaml", *(config or ())]
    resolved = config_of(files, as_settings(like or str(demo / "items.parquet"), seed=seed), settings)
    quick_java = resolved if n_items <= _QUICK_ITEMS else None  # what is read is small, what is written need not be
    shape = Shape(n_items, n_users, seed=resolved.seed)
    columns = synthesize(session(quick_java), resolved, out, shape, watcher())
    folder = columns.rpartition("/")[0]
    out_console.print(
        f"drq run --config {columns} --items {folder}/items --events {folder}/events --out .. gives them SIDs.",
        soft_wrap=True,
    )


def inspect(folder: Annotated[str, typer.Argument(help="Folder of a tokenizer.")]) -> None:
    """Verify a tokenizer artifact and show what it is; needs neither Spark nor torch."""
    from drq_spark.tokenizer.artifact import load_tokenizer, tokenizer_id

    tokenizer = load_tokenizer(absolute(folder))
    out_console.print_json(
        data={
            "tokenizer_id": tokenizer_id(tokenizer),
            "kind": tokenizer.kind,
            "dim": tokenizer.dim,
            "latent_dim": tokenizer.latent_dim,
            "codebook_sizes": list(tokenizer.codebook_sizes),
            "normalize": tokenizer.normalize,
            "latent_rms": list(tokenizer.latent_rms),
            "beam": tokenizer.beam,
            "prices": tokenizer.prices is not None,
            "weights": tokenizer.weights is not None,
            "training": dict(tokenizer.training),
        }
    )


def _dials(text: str | None) -> list[float | None]:
    """The numbers of --dials.

    Raises:
        ConfigError: a part is no number from 0 to 1.
    """
    if text is None:
        return [None]
    try:
        dials = [float(part) for part in text.split(",")]
    except ValueError:
        dials = [-1.0]
    if not all(0.0 <= dial <= 1.0 for dial in dials):
        raise ConfigError(f"--dials is {text!r}: give numbers from 0 to 1, separated by commas, such as 0,0.5,1")
    return list(dict.fromkeys(dials))


def probe(
    tokenizers: Annotated[str, typer.Option("--tokenizers", help=f"Names, separated by commas: {NAMES}.")],
    models: Annotated[
        str, typer.Option("--models", help=f"Downstream models, or groups, separated by commas: {MODEL_NAMES}.")
    ] = "generator,ranker",
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=20, help="How many seeds, from --seed on.")] = 1,
    dials: Annotated[
        str | None,
        typer.Option("--dials", metavar="X,..", help="Values of tokenizer.balance to try; what is set without it."),
    ] = None,
    users: Annotated[int, typer.Option("--users", min=1, help="Users that are drawn, about.")] = 100_000,
    candidates: Annotated[int, typer.Option("--candidates", min=2, help="Items to choose from, about.")] = 100_000,
    questions: Annotated[int, typer.Option("--questions", min=1, help="Events that judge, about.")] = 20_000,
    split: Annotated[
        Split,
        typer.Option("--split", help="What judges: the last tenth by time, or the last event of every user."),
    ] = Split.AUTO,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the events, at most.")] = 20,
    history: Annotated[int, typer.Option("--history", min=2, help="Events that a model looks back at.")] = 50,
    items: Items = None,
    events: Events = None,
    out: Out = None,
    levels: Levels = None,
    codes: Codes = None,
    seed: Seed = None,
    config: ConfigFiles = None,
    settings: Settings = None,
    run_date: RunDate = None,
    driver_memory: DriverMemory = None,
) -> None:
    """Train small generators and rankers on the SIDs of tokenizers: what they are worth, and what predicts it."""
    from drq_spark.console import show_probe
    from drq_spark.probe.behaviour_split import Drawing
    from drq_spark.probe.downstream_models import chosen
    from drq_spark.probe.model_contract import Effort
    from drq_spark.probe.probe_page import render
    from drq_spark.probe.probed_run import Plan
    from drq_spark.probe.step import probe as probe_runs
    from drq_spark.store import open_store

    resolved = config_of(config, as_settings(items, events, out, None, levels, codes, seed), settings)
    names = [name.strip() for name in tokenizers.split(",")]
    effort = Effort(epochs=epochs, history=history)
    plan = Plan(
        chosen([name.strip() for name in models.split(",")]), Drawing(users, candidates, questions, split), effort
    )
    numbers = range(resolved.seed, resolved.seed + seeds)
    spark = session(resolved)
    store = open_store(spark, resolved)
    points = probe_runs(spark, resolved, names, numbers, _dials(dials), plan, day(run_date), now(), watcher())
    page = f"{store.out}/probe.html"
    write_bytes(page, render(points, short_path(str(resolved.items.path))).encode())
    show_probe(out_console, points, page)


def states(
    ranker: Annotated[
        str, typer.Option("--ranker", metavar="ID", help="Of a ranker that drq probe has left in DIR/rankers.")
    ],
    events: Events = None,
    out: Out = None,
    config: ConfigFiles = None,
    settings: Settings = None,
    channel: Channel = None,
    driver_memory: DriverMemory = None,
) -> None:
    """Move the states that a ranker keeps of users by new events alone, in one commit; the same night twice is once."""
    from drq_spark.inputs.event_log import read_event_log
    from drq_spark.lease import Lease
    from drq_spark.probe.frozen_ranker import load_ranker
    from drq_spark.probe.user_states import advance, id_type_of
    from drq_spark.store import open_store

    options = as_settings(events=events, out=out) | named({"store.channel": channel})
    resolved = config_of(config, options, settings)
    spark = session()
    store = open_store(spark, resolved)
    frozen, shown = load_ranker(f"{store.rankers}/{ranker}"), watcher()
    lease = Lease(store, resolved.store.wait_minutes)
    lease.wait(shown.heading)
    with shown.step("states"):
        log = read_event_log(spark, resolved, id_type_of(store))
        if log is None:
            raise ConfigError("states move by what users do: give --events PATH_OR_TABLE, those of the night")
        night = advance(store, frozen, log.rows, lease)
        for line in night.lines():
            shown.note(line)
