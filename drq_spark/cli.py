"""The command line: `drq run` and the steps alone.

Exit codes: 0 done; 2 bad arguments or config; 3 input refused; 4 gate failed; 1 anything else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timezone
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from drq_spark.config import TOKENIZERS, Config, load_config
from drq_spark.errors import ConfigError, DrqError, GateFailed
from drq_spark.files import absolute, write_bytes

app = typer.Typer(
    name="drq",
    help="Semantic IDs for huge item catalogues with Spark, and the figures that tell how good they are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out_console = Console()
error_console = Console(stderr=True)

Items = Annotated[str | None, typer.Option("--items", help="Items: path, glob or table name.")]
Events = Annotated[str | None, typer.Option("--events", help="Events: path, glob or table name.")]
After = Annotated[
    str | None, typer.Option("--embeddings-after", help="A second version of the items: how far embeddings move.")
]
Out = Annotated[str | None, typer.Option("--out", help="Folder for tables, tokenizers and the report.")]
Name = Annotated[str | None, typer.Option("--tokenizer", help=f"Name of the tokenizer: {TOKENIZERS}.")]
Levels = Annotated[int | None, typer.Option("--levels", help="Codes in a SID.")]
Codes = Annotated[int | None, typer.Option("--codes", help="Codes a level.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Of the sample and of training.")]
ConfigFiles = Annotated[list[Path] | None, typer.Option("--config", help="YAML file; repeatable, later files win.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="section.key=value; repeatable, wins over files.")]
RunDate = Annotated[
    datetime | None, typer.Option("--run-date", formats=["%Y-%m-%d"], help="Logical date; today without it.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print settings, plan and memory estimate; write nothing.")]
RunId = Annotated[str | None, typer.Option("--run", help="Run id; the latest run without it.")]
OutOfRun = Annotated[str, typer.Option("--out", help="Folder of the run.")]
SchemaOfRun = Annotated[
    str | None, typer.Option("--schema", help="catalog.schema of the tables, if they are not in the folder.")
]


@app.command()
def run(
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
    dry_run: DryRun = False,
    embeddings_after: After = None,
) -> None:
    """All steps, from an items table to published SIDs, figures and a report."""
    options = _options(items, events, out, tokenizer, levels, codes, seed)
    if embeddings_after is not None:
        options["measure.embeddings_after"] = embeddings_after
    _run(load_config(config or (), options, settings or ()), run_date, dry_run)


@app.command()
def demo(
    out: Annotated[str, typer.Option("--out", help="Folder for the results.")] = "build/demo",
    settings: Settings = None,
) -> None:
    """`drq run` on the bundled catalogue: the 5,000 most depended-on packages of a Linux distribution."""
    folder = files("drq_spark") / "data" / "packages_5k"
    options = {
        "items.path": str(folder / "items.parquet"),
        "events.path": str(folder / "events.parquet"),
        "store.out": absolute(out),
    }
    out_console.print("The catalogue: 5,000 software packages, their descriptions embedded, and what depends on what.")
    config = load_config([Path(str(folder / "columns.yaml"))], options, settings or ())
    _session(small_data=True)  # `_run` takes it up
    _run(config, None, dry_run=False)


@app.command()
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
) -> None:
    """Begin a run and draw its sample; train, assign, measure and publish take it up."""
    from drq_spark import pipeline

    resolved = load_config(config or (), _options(items, events, out, tokenizer, levels, codes, seed), settings or ())
    begun, catalogue = pipeline.begin(_session(), resolved, _day(run_date), _now(), _watcher())
    with begun.tidied():
        pipeline.sample(begun, catalogue)
    out_console.print(f"run {begun.state.run_id}")


@app.command()
def train(out: OutOfRun, run_id: RunId = None, schema: SchemaOfRun = None) -> None:
    """Train the tokenizer on the sample of a run."""
    from drq_spark import pipeline, runs

    resumed = runs.resume(_store(out, schema), run_id, _watcher())
    with resumed.tidied():
        pipeline.train(resumed)


@app.command()
def assign(out: OutOfRun, run_id: RunId = None, schema: SchemaOfRun = None) -> None:
    """Give every item of a run its SID."""
    from drq_spark import pipeline, runs

    resumed = runs.resume(_store(out, schema), run_id, _watcher())
    with resumed.tidied():
        pipeline.assign(resumed, pipeline.catalogue_of(resumed))


@app.command()
def measure(
    out: OutOfRun,
    run_id: RunId = None,
    schema: SchemaOfRun = None,
    sids: Annotated[
        str | None, typer.Option("--sids", help="SIDs of another system, measured instead: file, glob or table name.")
    ] = None,
    items: Items = None,
    events: Events = None,
    codebooks: Annotated[
        str | None, typer.Option("--codebooks", help="Codebooks of these SIDs: .npz, .npy or .safetensors.")
    ] = None,
    codes: Codes = None,
    config: ConfigFiles = None,
    settings: Settings = None,
    run_date: RunDate = None,
    embeddings_after: After = None,
) -> None:
    """Compute the figures of a run; with --sids those of SIDs that another system made."""
    from drq_spark import pipeline, runs

    named = {"--items": items, "--events": events, "--codebooks": codebooks, "--codes": codes, "--config": config,
             "--set": settings, "--run-date": run_date}  # fmt: skip
    if sids is not None:
        if run_id is not None:
            raise ConfigError("--run is not for --sids: they make a run of their own")
        _measure_sids(
            {"store.out": absolute(out), "store.schema_name": schema, "sids.path": sids, "sids.codebooks": codebooks,
             "sids.codes": codes, "items.path": items, "events.path": events,
             "measure.embeddings_after": embeddings_after},
            config, settings, run_date,
        )  # fmt: skip
        return
    if unused := [name for name, value in named.items() if value is not None]:
        raise ConfigError(f"{', '.join(unused)} are for --sids; a run is measured by the settings that it began with")
    resumed = runs.resume(_store(out, schema), run_id, _watcher())
    if embeddings_after is not None:
        resumed.look_at_second_version(embeddings_after)
    with resumed.tidied():
        pipeline.measure(resumed, pipeline.catalogue_of(resumed))


@app.command()
def publish(out: OutOfRun, run_id: RunId = None, schema: SchemaOfRun = None) -> None:
    """Judge the figures of a run, write its report, and move the published pointer if the gate is passed."""
    from drq_spark import pipeline, runs

    resumed = runs.resume(_store(out, schema), run_id, _watcher())
    with resumed.tidied():
        pipeline.publish(resumed)
    _finish(resumed.outcome(repeated=False), resumed.config, resumed.store)


@app.command()
def report(out: OutOfRun, run_id: RunId = None, schema: SchemaOfRun = None) -> None:
    """Write the report of a run again."""
    from drq_spark.report.gather import write_report
    from drq_spark.runs import open_run

    opened = open_run(_store(out, schema), run_id, _watcher())
    write_report(opened)
    out_console.print(f"report {opened.store.report}", soft_wrap=True)


@app.command()
def compare(
    tokenizers: Annotated[str, typer.Option("--tokenizers", help=f"Names, separated by commas: {TOKENIZERS}.")],
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
) -> None:
    """Measure several tokenizers on the same samples: one table, the Pareto front, winners beyond the noise."""
    from drq_spark.compare.comparison_page import render
    from drq_spark.compare.trials import compare as compare_runs
    from drq_spark.console import show_comparison
    from drq_spark.store import open_store

    resolved = load_config(config or (), _options(items, events, out, None, levels, codes, seed), settings or ())
    chosen = [name.strip() for name in tokenizers.split(",")]
    numbers = range(resolved.seed, resolved.seed + seeds)
    store = open_store(_session(), resolved)
    compared = compare_runs(_session(), resolved, chosen, numbers, _day(run_date), _now(), _watcher())
    page = f"{store.out}/compare.html"
    write_bytes(page, render(compared, str(resolved.items.path)).encode())
    show_comparison(out_console, compared, page)


@app.command()
def plan(
    items: Items = None,
    out: Annotated[str | None, typer.Option("--out", help="Folder for plan.json and plan.png.")] = None,
    target_duplicate_rate: Annotated[
        float, typer.Option("--target-duplicate-rate", help="Most duplicates beyond those of equal embeddings.")
    ] = 0.02,
    target_k_eff: Annotated[
        float | None, typer.Option("--target-k-eff", help="Least K_eff / K of every level; no matter without it.")
    ] = None,
    codes: Annotated[
        list[int] | None, typer.Option("--codes", help="Codes a level to try, repeatable; else 64, 128, .. 4096.")
    ] = None,
    levels: Annotated[
        list[int] | None, typer.Option("--levels", help="Levels to try, repeatable; 2 to 6 without it.")
    ] = None,
    seed: Seed = None,
    config: ConfigFiles = None,
    settings: Settings = None,
) -> None:
    """Propose codes and levels: cheap fits on the sample, extrapolated to the catalogue; starts no run."""
    from drq_spark.plan.grid import LEVELS
    from drq_spark.plan.planner import make_plan
    from drq_spark.plan.proposal import Targets
    from drq_spark.plan.show import show_plan, write_plan

    targets = Targets(target_duplicate_rate, target_k_eff)
    resolved = load_config(config or (), _options(items, None, out, None, None, None, seed), settings or ())
    made = make_plan(_session(), resolved, targets, codes or None, levels or LEVELS, _watcher())
    if resolved.store.out is not None:
        write_plan(made, absolute(resolved.store.out))
    show_plan(out_console, made)


@app.command()
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code. Errors that users can meet are one line on stderr, others a traceback."""
    from drq_spark.console import show_error

    try:
        with _own_session_stopped():
            app(args=list(argv) if argv is not None else None)
    except DrqError as error:
        show_error(error_console, str(error))
        return error.exit_code
    except SystemExit as ended:  # how typer ends: 0 done, 2 bad arguments, already shown
        return int(ended.code or 0)
    return 0


def entry_point() -> None:
    """For the console script."""
    sys.exit(main())


def _options(
    items: str | None,
    events: str | None,
    out: str | None,
    tokenizer: str | None,
    levels: int | None,
    codes: int | None,
    seed: int | None,
) -> dict[str, Any]:
    given = {
        "items.path": items,
        "events.path": events,
        "store.out": absolute(out) if out is not None else None,
        "tokenizer.name": tokenizer,
        "tokenizer.levels": levels,
        "tokenizer.codes": codes,
        "seed": seed,
    }
    return {key: value for key, value in given.items() if value is not None}


def _run(config: Config, run_date: datetime | None, dry_run: bool) -> None:
    from drq_spark import pipeline
    from drq_spark.preview import preview
    from drq_spark.store import open_store

    if dry_run:
        _show_plan(config, preview(_session(), config))
        return
    done = pipeline.run_all(_session(), config, _day(run_date), _now(), _watcher())
    _finish(done, config, open_store(_session(), config))


def _measure_sids(
    options: dict[str, Any], config: list[Path] | None, settings: list[str] | None, run_date: datetime | None
) -> None:
    from drq_spark.external.measure_sids import measure_sids
    from drq_spark.store import open_store

    given = {key: value for key, value in options.items() if value is not None}
    resolved = load_config(config or (), given, settings or ())
    done = measure_sids(_session(), resolved, _day(run_date), _now(), _watcher())
    _finish(done, resolved, open_store(_session(), resolved))


def _show_plan(config: Config, plan: dict[str, Any]) -> None:
    out_console.print(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), markup=False, highlight=False)
    for name, value in plan.items():
        out_console.print(f"{name:<28} {value}", markup=False, highlight=False)
    out_console.print("Dry run: nothing was written.")


def _finish(outcome: Any, config: Config, store: Any) -> None:
    from drq_spark.console import show_outcome

    show_outcome(out_console, outcome, config, store)
    failed = [result for result in outcome.gate if not result.passed]
    if failed:
        worst = "; ".join(
            f"{result.rule} (is {result.value if result.value is None else format(result.value, '.4g')})"
            for result in failed
        )
        raise GateFailed(f"the gate failed: {worst}. Data is written, the published pointer was not moved")


def _session(*, small_data: bool = False) -> Any:
    from drq_spark.session import session_for_run

    return session_for_run(_watcher().loading, small_data=small_data)


@contextmanager
def _own_session_stopped() -> Iterator[None]:
    """Stop the local session that a command started; a session that was there before stays."""
    before = _active_session()
    try:
        yield
    finally:
        after = _active_session()
        if before is None and after is not None:
            after.stop()


def _active_session() -> Any:
    """The running session; asks only where Spark has been loaded, so that `drq --help` is quick."""
    if "pyspark.sql" not in sys.modules:
        return None
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession()


def _store(out: str, schema: str | None) -> Any:
    from drq_spark.store import Store

    return Store(_session(), absolute(out), schema)


def _watcher() -> Any:
    from drq_spark.console import ConsoleWatcher

    return ConsoleWatcher(out_console)


def _day(given: datetime | None) -> date:
    return given.date() if given is not None else date.today()


def _now() -> datetime:
    return datetime.now(timezone.utc)
