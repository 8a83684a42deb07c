"""The steps of a run in order: sample, train, assign, measure, publish.

Every step reads what the one before it left in tables and can be run alone. A run is known by what goes into it
(settings, rows of the tables, package version): a finished one is not repeated, a killed one is taken up again under
its own id, and each step replaces its own slice, so that the end is the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from math import prod
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.assign.items import assign_items, sids_table, totals_table, with_suffix
from drq_spark.config import Config
from drq_spark.errors import ConfigError, ConsistencyError, InputRefused
from drq_spark.files import absolute, ensure_writable, remove_empty_folder, remove_folder, write_bytes
from drq_spark.gate import GateResult, judge
from drq_spark.inputs.catalogue import Catalogue, read_catalogue
from drq_spark.inputs.events import events_fingerprint, read_events, with_exposure
from drq_spark.inputs.tables import damage_refused, is_pattern
from drq_spark.measure import aggregate
from drq_spark.measure.figures import Aggregates, Churn, Totals, all_figures
from drq_spark.measure.rulers import latent_scales
from drq_spark.measure.values import MetricRow
from drq_spark.progress import SILENT, Watcher
from drq_spark.report.gather import gather, read_figures
from drq_spark.report.render import render
from drq_spark.runs import RunState, find_same_run, new_run, open_run, save_run
from drq_spark.sample.behaviour import DrawnBehaviour, draw_behaviour
from drq_spark.sample.draw import draw_sample
from drq_spark.sample.load import load_behaviour, load_sample, with_behaviour
from drq_spark.sample.values import Sample
from drq_spark.schemas import (
    ASSIGNMENT_TOTALS,
    BEHAVIOUR_ITEMS,
    BEHAVIOUR_PAIRS,
    CODE_USAGE,
    METRICS,
    PREFIX_USAGE,
    PUBLISHED,
    SAMPLE,
    SID_QUARANTINE,
    SID_USAGE,
    SIDS,
    Status,
    Table,
)
from drq_spark.store import Store
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.artifact import load_tokenizer, save_tokenizer, tokenizer_id
from drq_spark.train.driver import check_memory, fit_tokenizer, memory_needed, split
from drq_spark.train.registry import trainer

_FINISHED = (Status.PUBLISHED.value, Status.GATE_FAILED.value)


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        state: its row. figures, gate: its figures and what the gate said.
        repeated: whether it had been finished before. followed: the run that readers follow now.
    """

    state: RunState
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


def run_all(
    spark: SparkSession, config: Config, run_date: date, started_at: datetime, watcher: Watcher = SILENT
) -> Outcome:
    """All steps, from the items table to the published pointer.

    Raises:
        ConfigError, InputRefused: before anything is written.
    """
    run, catalogue = begin(spark, config, run_date, started_at, watcher)
    if run.state.status in _FINISHED:
        return outcome(run, repeated=True)

    def steps() -> None:
        if run.state.status != Status.PASSED.value:  # else it was killed when only the pointer was left to move
            sample(run, catalogue)
            train(run)
            assign(run, catalogue)
            measure(run)
        publish(run)

    run_step(run, steps)
    return outcome(run, repeated=False)


def begin(
    spark: SparkSession, config: Config, run_date: date, started_at: datetime, watcher: Watcher
) -> tuple[Run, Catalogue]:
    """Check the inputs, and take up the run that they belong to, or make a new one; writes nothing.

    Raises:
        ConfigError: no place to write, training would need more memory than allowed, or needs events and there are
            none.
        InputRefused: the tables cannot be used.
    """
    config.require_sources()
    store = open_store(spark, config)
    with watcher.step("read"):
        catalogue = read_catalogue(spark, config)
        store.refuse_other_ids(SIDS, catalogue.id_type)
        events = read_events(spark, config, catalogue.id_type)
        fingerprint = catalogue.profile.fingerprint
        if events is not None:
            with damage_refused(str(config.events.path), "events table"):
                fingerprint += f":{events_fingerprint(events)}"
        profile = catalogue.profile
        watcher.note(f"{profile.rows:,} rows, embeddings of {profile.dim} numbers, ids are {catalogue.id_type}")
        check_memory(trainer(config.tokenizer.name), min(config.sample.size, profile.ids), profile.dim, config)
        fresh = new_run(config, fingerprint, run_date, started_at, profile.rows, profile.dim, catalogue.id_type)
        state = find_same_run(store, fresh) or fresh
        if state.status not in _FINISHED:
            state = replace(state, started_at=started_at)  # the latest run is the one begun or taken up last
    return Run(store, config, state, watcher), catalogue


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


def plan(spark: SparkSession, config: Config) -> dict[str, str]:
    """What a run would do, from one pass over the items table; writes nothing.

    Raises:
        ConfigError: training would need more memory than allowed, or needs events and there are none.
        InputRefused: the items table cannot be used.
    """
    config.require_sources()
    catalogue = read_catalogue(spark, config)
    profile = catalogue.profile
    chosen = trainer(config.tokenizer.name)
    rows = min(config.sample.size, profile.ids)
    check_memory(chosen, rows, profile.dim, config)
    sizes, needed = config.tokenizer.codebook_sizes, memory_needed(chosen, rows, profile.dim, config) / 1e9
    return {
        "rows": f"{profile.rows:,}",
        "ids": f"{profile.ids:,} of type {catalogue.id_type}",
        "embedding": f"{profile.dim} numbers",
        "sample": f"{rows:,} items",
        "SIDs": f"{prod(sizes):.3g} possible, {sizes} codes a level",
        "driver memory for training": f"{needed:.2f} GB of {config.train.max_memory_gb:g}",
        "steps": "sample, train, assign, measure, publish",
    }


def resume(store: Store, run_id: str | None, watcher: Watcher) -> Run:
    """A run of the runs table (the latest without an id), for running one step alone.

    Raises:
        ConfigError: there is none.
    """
    state = open_run(store, run_id)
    return Run(store, state.settings(), state, watcher)


def catalogue_of(run: Run) -> Catalogue:
    """The items of a resumed run, read again.

    Raises:
        InputRefused: they have changed since the run began.
    """
    catalogue = read_catalogue(run.spark, run.config)
    if catalogue.profile.fingerprint != run.state.input_fingerprint.partition(":")[0]:
        raise InputRefused(
            f"items table {run.config.items.path!r} has changed since run {run.state.run_id} began: start a new run"
        )
    return catalogue


def sample(run: Run, catalogue: Catalogue) -> None:
    """Draw the sample into its table, and the pairs of the events into theirs where training uses them.

    Raises:
        InputRefused: too many bad rows, fewer valid ones than codes, or no pairs; nothing is written then.
    """
    with run.step("sample"):
        drawn, behaviour = _draw(run, catalogue)
        save_run(run.store, run.state)  # killed from here on, the run is taken up again on any date
        _write_by_key(run, SAMPLE, drawn, "sample_key")
        run.watcher.note(f"{run.store.read(SAMPLE, run.state.run_id).count():,} items in the sample")
        if behaviour is not None:
            _write_behaviour(run, behaviour)


def train(run: Run) -> None:
    """Train the tokenizer on the sample table and write its artifact.

    Raises:
        ConfigError: the run has no sample.
        TrainingFailed: the fit diverged or collapsed.
    """
    _refuse_published(run)
    with run.step("train"):
        drawn = _load(run)
        data = split(drawn, run.config)
        del drawn  # the prepared copy is enough: training holds the sample twice, not three times
        tokenizer = fit_tokenizer(data, run.config, run.watcher.train)
        folder = save_tokenizer(tokenizer, run.store.tokenizers)
        run.state = replace(run.state, tokenizer_id=tokenizer_id(tokenizer))
        run.watcher.note(f"tokenizer in {folder}")
        for warning in tokenizer.training.get("warnings", ()):
            run.watcher.note(f"warning: {warning}")


def assign(run: Run, catalogue: Catalogue) -> None:
    """Give every item its SID; every row of the items table ends in sids or in sid_quarantine.

    Raises:
        ConfigError: the run has no tokenizer.
        ConsistencyError: rows were lost or doubled.
    """
    _refuse_published(run)
    with run.step("assign"):
        identity, tokenizer = _tokenizer_of(run)
        done = assign_items(catalogue, tokenizer, identity, run.staging)
        rows = _with_exposure(run, done.rows)
        numbered = with_suffix(rows, _published_suffixes(run, identity))
        run.write(SIDS, sids_table(numbered, run.state.run_id, run.state.run_date.isoformat(), identity))
        run.write(SID_QUARANTINE, done.quarantined.withColumn("run_id", F.lit(run.state.run_id)))
        run.write(ASSIGNMENT_TOTALS, totals_table(done.totals, run.state.run_id, identity))
        _check_rows(run)


def measure(run: Run) -> None:
    """Compute all figures of the run into their tables.

    Raises:
        ConfigError: the run has no SIDs.
    """
    _refuse_published(run)
    with run.step("measure"):
        _, tokenizer = _tokenizer_of(run)
        sids = _slice_of(run, SIDS, "assign")
        folder = f"{run.staging}/prefixes"
        aggregate.prefix_counts(sids, tokenizer.codebook_sizes).write.mode("overwrite").parquet(folder)
        prefixes = run.spark.read.parquet(folder)
        usage = aggregate.code_usage(sids, tokenizer.codebook_sizes)
        counted = Aggregates(
            rows_in=run.state.rows_in,
            rows_quarantined=run.store.read(SID_QUARANTINE, run.state.run_id).count(),
            usage=usage,
            prefixes=aggregate.prefix_sums(prefixes),
            distinct_embeddings=aggregate.distinct_embeddings(sids),
            totals=_totals(run),
            churn=_churn(run, sids, tokenizer),
        )
        run.write(CODE_USAGE, run.stamped(aggregate.usage_table(run.spark, usage)))
        run.write(PREFIX_USAGE, run.stamped(prefixes.where(F.col("level") < tokenizer.levels)))
        buckets = aggregate.top_buckets(sids, prefixes, tokenizer.levels, run.config.measure.top_buckets)
        run.write(SID_USAGE, run.stamped(buckets))
        figures = all_figures(counted, tokenizer, latent_scales(tokenizer, run.config.measure))
        rows = run.spark.createDataFrame(
            [tuple(asdict(row).values()) for row in figures],
            "metric string, level int, weighting string, eta double, value double, standard_error double, ruler string",
        )
        run.write(METRICS, run.stamped(rows))
        run.state = replace(run.state, status=Status.MEASURED.value)


def publish(run: Run) -> None:
    """Judge the figures, write the report, and move the pointer if the gate is passed; the pointer moves last.

    Raises:
        ConfigError: the run has no figures.
    """
    with run.step("publish"):
        _slice_of(run, METRICS, "measure")
        figures = read_figures(run.store, run.state.run_id)
        gate = _judge(run, figures)
        passed = all(result.passed for result in gate)
        run.state = replace(run.state, status=(Status.PASSED if passed else Status.GATE_FAILED).value)
        write_report(run)
        if passed:
            save_run(run.store, run.state)
            run.write(PUBLISHED, _pointer(run))
            run.state = replace(run.state, status=Status.PUBLISHED.value)


def outcome(run: Run, *, repeated: bool) -> Outcome:
    """What there is to tell about a finished run."""
    figures = read_figures(run.store, run.state.run_id)
    return Outcome(run.state, tuple(figures), _judge(run, figures), repeated, _published(run))


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
    _slice_of(run, METRICS, "measure")
    figures = read_figures(run.store, run.state.run_id)
    _, tokenizer = _tokenizer_of(run)
    gate = _judge(run, figures)
    data = gather(run.store, asdict(run.state), run.config, tokenizer, figures, gate)
    write_bytes(run.store.report, render(data).encode())


def _draw(run: Run, catalogue: Catalogue) -> tuple[DataFrame, DrawnBehaviour | None]:
    """The sample, exposed as often as its items have events where nothing else is known; pairs where training asks."""
    drawn = draw_sample(catalogue, run.config, run.staging)
    events = read_events(run.spark, run.config, run.state.id_type)
    if events is None:
        return drawn, None
    if run.config.items.exposure is None:
        counted = with_exposure(drawn.select("item_id"), events)  # ids alone are shuffled, no embeddings
        drawn = drawn.drop("exposure").join(F.broadcast(counted), "item_id")
    if not run.config.trains_on_events:
        return drawn, None
    return drawn, draw_behaviour(catalogue, events, run.config, run.staging)


def _write_by_key(run: Run, table: Table, df: DataFrame, key: str) -> None:
    """Write the run's slice in key order, for training reads key ranges."""
    by_key = df.repartitionByRange(key).sortWithinPartitions(key)
    run.write(table, by_key.withColumn("run_id", F.lit(run.state.run_id)))


def _write_behaviour(run: Run, drawn: DrawnBehaviour) -> None:
    _write_by_key(run, BEHAVIOUR_ITEMS, drawn.items, "split_key")
    _write_by_key(run, BEHAVIOUR_PAIRS, drawn.pairs, "pair_key")
    items, pairs = (run.store.read(table, run.state.run_id).count() for table in (BEHAVIOUR_ITEMS, BEHAVIOUR_PAIRS))
    run.watcher.note(f"{pairs:,} pairs of consecutive items, {items:,} items in them")


def _load(run: Run) -> Sample:
    """What the sample step left for training."""
    drawn = load_sample(_slice_of(run, SAMPLE, "sample"), run.state.dim)
    if not run.config.trains_on_events:
        return drawn
    items, pairs = (_slice_of(run, table, "sample") for table in (BEHAVIOUR_ITEMS, BEHAVIOUR_PAIRS))
    return with_behaviour(drawn, load_behaviour(items, pairs, run.state.dim))


def _slice_of(run: Run, table: Table, step: str) -> DataFrame:
    if table.name not in run.state.table_versions:
        raise ConfigError(f"run {run.state.run_id} has no {table.name} yet: run drq {step} first")
    return run.store.read(table, run.state.run_id)


def _tokenizer_of(run: Run) -> tuple[str, Tokenizer]:
    if run.state.tokenizer_id is None:
        raise ConfigError(f"run {run.state.run_id} has no tokenizer yet: run drq train first")
    return run.state.tokenizer_id, load_tokenizer(f"{run.store.tokenizers}/{run.state.tokenizer_id}")


def _with_exposure(run: Run, rows: DataFrame) -> DataFrame:
    """The number of its events is the exposure of an item where the items table has no exposure column."""
    events = read_events(run.spark, run.config, run.state.id_type)
    if events is None or run.config.items.exposure is not None:
        return rows
    return with_exposure(rows, events)


def _published(run: Run) -> str | None:
    """The run that readers follow now."""
    if not run.store.exists(PUBLISHED):
        return None
    row = run.store.read(PUBLISHED).first()
    return None if row is None else str(row.run_id)


def _published_suffixes(run: Run, identity: str) -> DataFrame | None:
    """item_id, sid and suffix of the run that readers follow, where it has the same tokenizer."""
    previous = _published(run)
    if previous is None:
        return None
    same = run.store.read(SIDS, previous).where(F.col("tokenizer_id") == identity)
    return same.select("item_id", "sid", "suffix")


def _check_rows(run: Run) -> None:
    out = run.store.read(SIDS, run.state.run_id).count()
    bad = run.store.read(SID_QUARANTINE, run.state.run_id).count()
    if out + bad != run.state.rows_in:
        raise ConsistencyError(
            f"run {run.state.run_id}: {run.state.rows_in:,} rows in, but {out:,} with a SID and {bad:,} in quarantine; "
            "did the items table change while the run went on?"
        )
    run.state = replace(run.state, rows_out=out, rows_quarantined=bad)
    run.watcher.note(f"{out:,} items have a SID, {bad:,} rows are in quarantine")


def _totals(run: Run) -> Totals:
    row = _slice_of(run, ASSIGNMENT_TOTALS, "assign").drop("run_id", "tokenizer_id").first()
    assert row is not None  # assign writes exactly one
    arrays = ("residual_square", "margin", "uncertain")
    values: dict[str, Any] = row.asDict()
    return Totals(**values | {name: np.array(values[name]) for name in arrays})


def _churn(run: Run, sids: DataFrame, tokenizer: Tokenizer) -> Churn | None:
    """Changes against the run that readers follow, where it is another one; code by code where the shapes agree."""
    previous = _published(run)
    if previous is None or previous == run.state.run_id:
        return None
    run.state = replace(run.state, previous_run_id=previous)
    before, sizes = run.store.read(SIDS, previous), tokenizer.codebook_sizes
    items, moved = aggregate.moved_items(before, sids)
    same_shape = open_run(run.store, previous).settings().tokenizer.codebook_sizes == sizes
    return Churn(aggregate.code_changes(before, sids, sizes) if same_shape else (), items, moved)


def _refuse_published(run: Run) -> None:
    """A step alone must not change what readers follow.

    Raises:
        ConfigError: the pointer is at this run.
    """
    if _published(run) == run.state.run_id:
        raise ConfigError(f"run {run.state.run_id} is published, its tables stay as they are: start a new run")


def _judge(run: Run, figures: Sequence[MetricRow]) -> tuple[GateResult, ...]:
    has_previous = run.state.previous_run_id is not None
    return judge(run.config.gate.rules, figures, run.config.measure, has_previous=has_previous)


def _pointer(run: Run) -> DataFrame:
    state = run.state
    row = (state.run_id, state.run_date, state.tokenizer_id, state.table_versions[SIDS.name], state.rows_out)
    schema = "run_id string, run_date date, tokenizer_id string, sids_version bigint, rows bigint"
    return run.spark.createDataFrame([row], schema)
