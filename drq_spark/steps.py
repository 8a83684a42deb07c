"""A run in progress, and what every way of running has in common: its tables, its figures, its page, how it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.errors import ConfigError, ConsistencyError
from drq_spark.files import absolute, ensure_writable, remove_empty_folder, remove_folder, write_bytes
from drq_spark.gate import GateResult, judge
from drq_spark.inputs.events import read_events, with_exposure
from drq_spark.inputs.tables import is_pattern
from drq_spark.metrics import MetricRow
from drq_spark.progress import Watcher
from drq_spark.report.gather import gather, read_figures
from drq_spark.report.render import render
from drq_spark.runs import RunState, open_run, save_run
from drq_spark.schemas import CODE_USAGE, METRICS, PUBLISHED, SID_QUARANTINE, SIDS, Table
from drq_spark.store import Store
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.artifact import load_tokenizer


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        state: its row. codebook_sizes: K per level. figures, gate: its figures and what the gate said.
        repeated: whether it had been finished before. followed: the run that readers follow now.
    """

    state: RunState
    codebook_sizes: tuple[int, ...]
    figures: tuple[MetricRow, ...]
    gate: tuple[GateResult, ...]
    repeated: bool
    followed: str | None


class Run:
    """A run in progress: where it writes, whom it tells, and its row of the runs table."""

    def __init__(self, store: Store, config: Config, state: RunState, watcher: Watcher) -> None:
        self.store, self.config, self.state, self.watcher = store, config, state, watcher

    @property
    def spark(self) -> SparkSession:
        """The session of the store."""
        return self.store.spark

    @property
    def staging(self) -> str:
        """Folder that goes when the run ends."""
        return self.store.staging(self.state.run_id)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show and time a step, and keep the run's row when it ends well."""
        start = time.monotonic()
        with self.watcher.step(name):
            yield
            self.state = replace(self.state, seconds={**self.state.seconds, name: time.monotonic() - start})
            save_run(self.store, self.state)

    def write(self, table: Table, df: DataFrame) -> None:
        """Replace the run's slice of a table and note its version."""
        version = self.store.write(table, df, self.state.run_id, self.state.id_type)
        self.state = replace(self.state, table_versions={**self.state.table_versions, table.name: version})

    def stamped(self, df: DataFrame) -> DataFrame:
        """With run_id and tokenizer_id columns."""
        return df.withColumns({"run_id": F.lit(self.state.run_id), "tokenizer_id": F.lit(self.state.tokenizer_id)})


def open_store(spark: SparkSession, config: Config) -> Store:
    """The store that the settings name.

    Raises:
        ConfigError: none is named, or its folder cannot be written.
    """
    if config.store.out is None:
        raise ConfigError("no place for the results: give --out DIR or set store.out")
    out = absolute(config.store.out)
    if is_pattern(out):
        raise ConfigError(
            f"{out!r} cannot hold a run: Spark takes * ? [ {{ in a path for a pattern, choose another --out"
        )
    ensure_writable(out)
    return Store(spark, out, config.store.schema_name)


def opened(store: Store, run_id: str | None, watcher: Watcher) -> Run:
    """A run of the runs table (the latest without an id).

    Raises:
        ConfigError: there is none.
    """
    state = open_run(store, run_id)
    return Run(store, state.settings(), state, watcher)


def outcome(run: Run, *, repeated: bool) -> Outcome:
    """What there is to tell about a finished run."""
    figures = read_figures(run.store, run.state.run_id)
    return Outcome(run.state, _codebook_sizes(run), tuple(figures), judged(run, figures), repeated, published_run(run))


def run_step(run: Run, work: Callable[[], None]) -> None:
    """Do one or more steps; the staging folder goes whatever happens, and so does what a refused run leaves empty."""
    try:
        work()
    finally:
        remove_folder(run.staging)
        remove_empty_folder(f"{run.store.out}/staging")
        remove_empty_folder(run.store.out)


def write_report(run: Run) -> None:
    """The page about a measured run.

    Raises:
        ConfigError: the run has no figures.
    """
    slice_of(run, METRICS, "measure")
    figures = read_figures(run.store, run.state.run_id)
    tokenizer = None if run.config.from_elsewhere else tokenizer_of(run)[1]
    gate = judged(run, figures)
    data = gather(run.store, asdict(run.state), run.config, tokenizer, _codebook_sizes(run), figures, gate)
    write_bytes(run.store.report, render(data).encode())


def write_figures(run: Run, tables: Mapping[Table, DataFrame]) -> None:
    """Write what was measured; the figures themselves come last."""
    for table, df in tables.items():
        run.write(table, run.stamped(df))


def check_rows(run: Run) -> None:
    """Every row that went in has a SID or is in quarantine.

    Raises:
        ConsistencyError: rows were lost or doubled.
    """
    out = run.store.read(SIDS, run.state.run_id).count()
    bad = run.store.read(SID_QUARANTINE, run.state.run_id).count()
    if out + bad != run.state.rows_in:
        raise ConsistencyError(
            f"run {run.state.run_id}: {run.state.rows_in:,} rows in, but {out:,} with a SID and {bad:,} in quarantine; "
            "did the input change while the run went on?"
        )
    run.state = replace(run.state, rows_out=out, rows_quarantined=bad)
    run.watcher.note(f"{out:,} items have a SID, {bad:,} rows are in quarantine")


def slice_of(run: Run, table: Table, step: str) -> DataFrame:
    """The run's rows of a table.

    Raises:
        ConfigError: the step that writes them has not been done.
    """
    if table.name not in run.state.table_versions:
        raise ConfigError(f"run {run.state.run_id} has no {table.name} yet: run drq {step} first")
    return run.store.read(table, run.state.run_id)


def tokenizer_of(run: Run) -> tuple[str, Tokenizer]:
    """Id and value of the run's tokenizer.

    Raises:
        ConfigError: it has none yet.
    """
    if run.state.tokenizer_id is None:
        raise ConfigError(f"run {run.state.run_id} has no tokenizer yet: run drq train first")
    return run.state.tokenizer_id, load_tokenizer(f"{run.store.tokenizers}/{run.state.tokenizer_id}")


def exposed(run: Run, rows: DataFrame) -> DataFrame:
    """The number of its events is the exposure of an item where the items table has no exposure column."""
    events = read_events(run.spark, run.config, run.state.id_type)
    if events is None or run.config.items.exposure is not None:
        return rows
    return with_exposure(rows, events)


def published_run(run: Run) -> str | None:
    """The run that readers follow now."""
    if not run.store.exists(PUBLISHED):
        return None
    row = run.store.read(PUBLISHED).first()
    return None if row is None else str(row.run_id)


def _codebook_sizes(run: Run) -> tuple[int, ...]:
    """K per level of a measured run; that of SIDs from elsewhere stands in its figures."""
    if not run.config.from_elsewhere:
        return run.config.tokenizer.codebook_sizes
    counted = run.store.read(CODE_USAGE, run.state.run_id).groupBy("level").count().orderBy("level")
    return tuple(int(row["count"]) for row in counted.collect())


def judged(run: Run, figures: Sequence[MetricRow]) -> tuple[GateResult, ...]:
    """What the gate says; readers never follow SIDs from elsewhere, so that there is nothing to judge."""
    if run.config.from_elsewhere:
        return ()
    has_previous = run.state.previous_run_id is not None
    return judge(run.config.gate.rules, figures, run.config.measure, has_previous=has_previous)
