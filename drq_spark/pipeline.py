"""The steps of a run in order: sample, train, assign, measure, publish.

Every step reads what the one before it left in tables and can be run alone. A run is known by what goes into it
(settings, rows of the tables, package version): a finished one is not repeated, a killed one is taken up again under
its own id, and each step replaces its own slice, so that the end is the same.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from math import prod
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.assign.assignment import assign_items, sids_table, totals_table, with_suffix
from drq_spark.config import Config, canonical_json
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.inputs.attributes import read_attributes
from drq_spark.inputs.events import read_events, with_exposure
from drq_spark.inputs.identity import fingerprint_beside
from drq_spark.inputs.items import Catalogue, read_catalogue
from drq_spark.inputs.second_version import read_after
from drq_spark.measure.figures import Churn, Totals
from drq_spark.measure.step import Known, measured
from drq_spark.measure.subject import Subject
from drq_spark.measure.usage import code_usage as aggregate
from drq_spark.progress import SILENT, Watcher
from drq_spark.report.gather import read_figures
from drq_spark.runs import find_same_run, new_run, open_run, save_run
from drq_spark.sample.draw import draw_sample
from drq_spark.sample.load import load_behaviour, load_sample, with_behaviour
from drq_spark.sample.pairs import DrawnBehaviour, draw_behaviour
from drq_spark.sample.values import Sample
from drq_spark.schemas import (
    ASSIGNMENT_TOTALS,
    BEHAVIOUR_ITEMS,
    BEHAVIOUR_PAIRS,
    METRICS,
    PUBLISHED,
    SAMPLE,
    SID_QUARANTINE,
    SIDS,
    Status,
    Table,
)
from drq_spark.steps import (
    Outcome,
    Run,
    check_rows,
    exposed,
    judged,
    open_store,
    opened,
    outcome,
    published_run,
    run_step,
    slice_of,
    tokenizer_of,
    write_figures,
    write_report,
)
from drq_spark.store import Store
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.artifact import save_tokenizer, tokenizer_id
from drq_spark.train.driver import check_memory, fit_tokenizer, memory_needed, split
from drq_spark.train.registry import trainer

_FINISHED = (Status.PUBLISHED.value, Status.GATE_FAILED.value)


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
            to_figures(run, catalogue)
        publish(run)

    run_step(run, steps)
    return outcome(run, repeated=False)


def to_figures(run: Run, catalogue: Catalogue) -> None:
    """The steps before publishing."""
    sample(run, catalogue)
    train(run)
    assign(run, catalogue)
    measure(run, catalogue)


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
        profile = catalogue.profile
        fingerprint = f"{profile.fingerprint}:{fingerprint_beside(spark, config, catalogue.id_type)}"
        watcher.note(f"{profile.rows:,} rows, embeddings of {profile.dim} numbers, ids are {catalogue.id_type}")
        check_memory(trainer(config.tokenizer.name), min(config.sample.size, profile.ids), profile.dim, config)
        fresh = new_run(config, fingerprint, run_date, started_at, profile.rows, profile.dim, catalogue.id_type)
        state = find_same_run(store, fresh) or fresh
        if state.status not in _FINISHED:
            state = replace(state, started_at=started_at)  # the latest run is the one begun or taken up last
    return Run(store, config, state, watcher), catalogue


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
        ConfigError: there is none, or its SIDs come from elsewhere: it has no steps, and readers never follow it.
    """
    run = opened(store, run_id, watcher)
    if run.config.from_elsewhere:
        raise ConfigError(
            f"run {run.state.run_id} measured SIDs from elsewhere: drq measure --sids is all there is to do with them; "
            "name another run with --run"
        )
    return run


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
        TrainingFailed: the fit diverged, or a VAE tells its items no longer apart.
    """
    _refuse_published(run)
    with run.step("train"):
        drawn = _load(run)
        data = split(drawn, run.config)
        del drawn  # the prepared copy is enough: training holds the sample twice, not three times
        tokenizer = fit_tokenizer(data, run.config, run.watcher.progress)
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
        identity, tokenizer = tokenizer_of(run)
        done = assign_items(catalogue, tokenizer, identity, run.staging)
        rows = exposed(run, done.rows)
        numbered = with_suffix(rows, _published_suffixes(run, identity))
        run.write(SIDS, sids_table(numbered, run.state.run_id, run.state.run_date.isoformat(), identity))
        run.write(SID_QUARANTINE, done.quarantined.withColumn("run_id", F.lit(run.state.run_id)))
        run.write(ASSIGNMENT_TOTALS, totals_table(done.totals, run.state.run_id, identity))
        check_rows(run)


def measure(run: Run, catalogue: Catalogue) -> None:
    """Compute all figures of the run into their tables.

    Raises:
        ConfigError: the run has no SIDs. InputRefused: the second version of the embeddings cannot be used.
    """
    _refuse_published(run)
    with run.step("measure"):
        identity, tokenizer = tokenizer_of(run)
        sids = slice_of(run, SIDS, "assign")
        subject = Subject(
            sids=sids,
            codebook_sizes=tokenizer.codebook_sizes,
            id_type=run.state.id_type,
            config=run.config,
            staging=run.staging,
            tokenizer_id=identity,
            tokenizer=tokenizer,
            dim=run.state.dim,
            items=catalogue.df,
            events=read_events(run.spark, run.config, run.state.id_type),
            attributes=read_attributes(run.spark, run.config, run.state.id_type),
            after=read_after(run.spark, run.config, run.state.id_type),
        )
        quarantined = run.store.read(SID_QUARANTINE, run.state.run_id).count()
        known = Known(run.state.rows_in, quarantined, _totals(run), _churn(run, sids, tokenizer))
        write_figures(run, measured(subject, known, run.watcher.progress))
        run.state = replace(run.state, status=Status.MEASURED.value)


def look_at_second_version(run: Run, path: str) -> None:
    """Measure with a second version of the embeddings, whatever the run began with; its row keeps what was read."""
    config = run.config.model_dump(mode="json")
    config["measure"]["embeddings_after"] = path
    run.config = Config.model_validate(config)
    run.state = replace(run.state, config=canonical_json(config))


def publish(run: Run) -> None:
    """Judge the figures, write the report, and move the pointer if the gate is passed; the pointer moves last.

    Raises:
        ConfigError: the run has no figures.
    """
    with run.step("publish"):
        slice_of(run, METRICS, "measure")
        figures = read_figures(run.store, run.state.run_id)
        gate = judged(run, figures)
        passed = all(result.passed for result in gate)
        run.state = replace(run.state, status=(Status.PASSED if passed else Status.GATE_FAILED).value)
        write_report(run)
        if passed:
            save_run(run.store, run.state)
            run.write(PUBLISHED, _pointer(run))
            run.state = replace(run.state, status=Status.PUBLISHED.value)


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
    drawn = load_sample(slice_of(run, SAMPLE, "sample"), run.state.dim)
    if not run.config.trains_on_events:
        return drawn
    items, pairs = (slice_of(run, table, "sample") for table in (BEHAVIOUR_ITEMS, BEHAVIOUR_PAIRS))
    return with_behaviour(drawn, load_behaviour(items, pairs, run.state.dim))


def _published_suffixes(run: Run, identity: str) -> DataFrame | None:
    """item_id, sid and suffix of the run that readers follow, where it has the same tokenizer."""
    previous = published_run(run)
    if previous is None:
        return None
    same = run.store.read(SIDS, previous).where(F.col("tokenizer_id") == identity)
    return same.select("item_id", "sid", "suffix")


def _totals(run: Run) -> Totals:
    row = slice_of(run, ASSIGNMENT_TOTALS, "assign").drop("run_id", "tokenizer_id").first()
    assert row is not None  # assign writes exactly one
    arrays = ("residual_square", "margin", "uncertain")
    values: dict[str, Any] = row.asDict()
    return Totals(**values | {name: np.array(values[name]) for name in arrays})


def _churn(run: Run, sids: DataFrame, tokenizer: Tokenizer) -> Churn | None:
    """Changes against the run that readers follow, where it is another one; code by code where the shapes agree."""
    previous = published_run(run)
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
    if published_run(run) == run.state.run_id:
        raise ConfigError(f"run {run.state.run_id} is published, its tables stay as they are: start a new run")


def _pointer(run: Run) -> DataFrame:
    state = run.state
    row = (state.run_id, state.run_date, state.tokenizer_id, state.table_versions[SIDS.name], state.rows_out)
    schema = "run_id string, run_date date, tokenizer_id string, sids_version bigint, rows bigint"
    return run.spark.createDataFrame([row], schema)
