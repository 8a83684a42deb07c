"""A run while it goes on: what it reads and writes, and its steps one by one.

Each step replaces the run's own slice of a table, so that a killed run is taken up again under its own id and ends as
if there had been no kill. What a run is known by is in `drq_spark.run_state`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from functools import cached_property

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from drq_spark.config import Config, canonical_json
from drq_spark.errors import ConfigError, ConsistencyError
from drq_spark.files import folders, remove_folder
from drq_spark.lease import Lease
from drq_spark.metrics import MetricRow
from drq_spark.outside_faults import outside_faults_explained
from drq_spark.progress import Watcher
from drq_spark.run_state import RunState, find_run, followed, newest
from drq_spark.schemas import (
    CODE_USAGE,
    CURRENT_SIDS,
    METRICS,
    NIGHT_SIDS,
    PUBLISHED,
    RUNS,
    SID_QUARANTINE,
    SIDS,
    Status,
    Table,
    channel_of,
)
from drq_spark.sids_of_run import FEW_IDS, base_rows, changed_by, sids_of_night
from drq_spark.staging import Staging
from drq_spark.store import Store
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.artifact import load_tokenizer


class Run:
    """A run in progress: where it writes, whom it tells, and its row of the runs table.

    Attributes:
        begun_here: That no process has written anything of this run before; one that is taken up again may have
            left a slice of any table.
        refuse_changed_inputs: Raises `InputRefused` where a table that goes into the run is no longer what it was.
    """

    def __init__(
        self,
        store: Store,
        config: Config,
        state: RunState,
        watcher: Watcher,
        lease: Lease | None = None,
        *,
        begun_here: bool = False,
        refuse_changed_inputs: Callable[[], None] = lambda: None,
    ) -> None:
        self.store, self.config, self.state, self.watcher = store, config, state, watcher
        self.refuse_changed_inputs = refuse_changed_inputs
        self._lease = lease or Lease(store)
        self._begun_here, self._written = begun_here, set[str]()
        self._figures: tuple[MetricRow, ...] | None = None
        self.kept_embeddings: DataFrame | None = None
        self._staging = Staging(store.staging(self._lease.owner))

    @property
    def spark(self) -> SparkSession:
        """The session of the store."""
        return self.store.spark

    @property
    def staging(self) -> Staging:
        """What goes when the run ends."""
        return self._staging

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """K per level of a measured run; that of external SIDs stands in its figures."""
        if not self.config.external:
            return self.config.tokenizer.codebook_sizes
        counted = self.store.read(CODE_USAGE, self.state.run_id).groupBy("level").count().orderBy("level")
        return tuple(int(row["count"]) for row in counted.collect())

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show and time a step, and keep the run's row when it ends well.

        Raises:
            SetupError: a disk is full, or Spark lacks something.
            InputRefused: a file of an input has gone or was written again.
        """
        start = time.monotonic()
        with self.watcher.step(name):
            with outside_faults_explained():
                yield
            self.state = replace(self.state, seconds={**self.state.seconds, name: time.monotonic() - start})
            self.save()

    @contextmanager
    def tidied(self) -> Iterator[None]:
        """One or more steps; lease and staging folder are given up whatever happens, and empty folders go."""
        try:
            with self._lease.kept():
                yield
        finally:
            self.store.clear_staging(self._lease.owner)
            self.staging.kept_once.clear()  # what it kept is gone
            self.kept_embeddings = None

    def hold(self) -> None:
        """Be the only run that writes into the tables until `tidied` ends; what dead ones left in staging goes.

        Raises:
            Busy: another run is at work, or was since this one began.
        """
        self._lease.take()
        above = f"{self.store.out}/staging"
        for owner in filter(self._lease.left_behind, folders(above)):
            remove_folder(f"{above}/{owner}")

    def save(self) -> None:
        """Replace the run's row of the runs table.

        Raises:
            Busy: another run took the lease from this one.
        """
        self._lease.confirm()
        schema = ", ".join(f"`{column.name}` {column.type}" for column in RUNS.columns)
        row = asdict(self.state)
        values = tuple(row[column.name] for column in RUNS.columns)
        rows = self.spark.createDataFrame([values], schema)
        self.store.put(RUNS, rows, self.state.run_id, "string", self._first(RUNS))

    def note(self, text: str) -> None:
        """Keep one more thing to know before the figures are read; the row of a resumed run may have it."""
        if text not in self.state.notes:
            self.state = replace(self.state, notes=(*self.state.notes, text))

    def write(self, table: Table, df: DataFrame) -> None:
        """Replace the run's slice of a table and note its version; rows need not say which run they are of.

        Raises:
            Busy: another run took the lease from this one.
        """
        self._lease.confirm()
        if self._begun_here and not self._written:
            self.save()  # from here on a kill leaves a run that is taken up again, and then nothing is its first write
        rows, first = self._stamped(table, df), self._first(table)
        if table is METRICS:
            self._figures = None
        version = self.store.write(table, rows, self.state.run_id, self.state.id_type, first)
        versions = {**self.state.table_versions, self.store.name_of(table): version}
        self.state = replace(self.state, table_versions=versions)

    def _first(self, table: Table) -> bool:
        """Whether this write is known to be the run's first one into a table; what is written counts as tried."""
        first = self._begun_here and table.name not in self._written
        self._written.add(table.name)
        return first

    def keep(self, table: Table, df: DataFrame) -> DataFrame:
        """`write` rows, and give them as they are read from the table."""
        self.write(table, df)
        return self.store.read(table, self.state.run_id)

    def _stamped(self, table: Table, df: DataFrame) -> DataFrame:
        stamp = {
            "run_id": F.lit(self.state.run_id),
            "run_date": F.lit(self.state.run_date),
            "tokenizer_id": F.lit(self.state.tokenizer_id),
        }
        missing = set(table.column_names()) - set(df.columns)
        return df.withColumns({name: value for name, value in stamp.items() if name in missing})

    def rows(self, table: Table, step: str) -> DataFrame:
        """The run's rows of a table that a step leaves.

        Raises:
            ConfigError: the step has not been done.
        """
        if table.name not in self.state.table_versions:
            raise ConfigError(f"run {self.state.run_id} has no {table.name} yet: run drq {step} first")
        return self.store.read(table, self.state.run_id)

    def sids(self) -> DataFrame:
        """The SIDs of all items, columns of `schemas.SIDS`.

        Those of a night that changes much are put together once for all steps; where it changes little, every step
        that reads a few columns of all is quicker than that.

        Raises:
            ConfigError: the run has none yet.
        """
        if not self.state.is_night:
            return self.rows(SIDS, "assign")
        night, base = self.rows(NIGHT_SIDS, "assign"), self.base
        assert base is not None  # a night stands on one
        rows = sids_of_night(changed_by(base, night, CURRENT_SIDS.column_names(), few=self.changes_few))
        return rows if self.changes_few else self.staging.keep_once(rows, "sids")

    @cached_property
    def changes_few(self) -> bool:
        """Whether a night changes so few items that their ids can be sent to every node."""
        return self.rows(NIGHT_SIDS, "assign").count() <= FEW_IDS

    @cached_property
    def base(self) -> DataFrame | None:
        """Columns of `schemas.CURRENT_SIDS` of the run that this one stands on; None where it stands on none."""
        return None if self.state.base_run_id is None else base_rows(self.store, self.state)

    def tokenizer(self) -> Tokenizer:
        """The run's tokenizer.

        Raises:
            ConfigError: it has none yet.
        """
        if self.state.tokenizer_id is None:
            raise ConfigError(f"run {self.state.run_id} has no tokenizer yet: run drq train first")
        return load_tokenizer(f"{self.store.tokenizers}/{self.state.tokenizer_id}")

    def tokenizer_before(self) -> Tokenizer | None:
        """The tokenizer that a retraining begins at; None where the run is none."""
        if not self.state.trains or self.state.base_run_id is None:
            return None
        return load_tokenizer(f"{self.store.tokenizers}/{find_run(self.store, self.state.base_run_id).tokenizer_id}")

    @property
    def placed_under(self) -> str | None:
        """The tokenizer under whose SIDs readers' suffixes count: its own, or that of the run a retraining began at."""
        if not self.state.trains or self.state.base_run_id is None:
            return self.state.tokenizer_id
        return find_run(self.store, self.state.base_run_id).tokenizer_id

    def check_rows(self) -> None:
        """Every row that went in has a SID or is in quarantine.

        Raises:
            ConsistencyError: rows were lost or doubled.
        """
        out = (self.sids() if self.state.is_night else self.store.read(SIDS, self.state.run_id)).count()
        bad = self.store.read(SID_QUARANTINE, self.state.run_id).count()
        if out + bad != self.state.rows_in:
            raise ConsistencyError(
                f"run {self.state.run_id}: {self.state.rows_in:,} rows in, but {out:,} with a SID and {bad:,} in "
                "quarantine; did the input change while the run went on?"
            )
        self.state = replace(self.state, rows_out=out, rows_quarantined=bad)
        self.watcher.note(f"{out:,} items have a SID, {bad:,} rows are in quarantine")

    def figures(self) -> tuple[MetricRow, ...]:
        """The run's rows of the metrics table, read once.

        Raises:
            ConfigError: it has not been measured.
        """
        if self._figures is None:
            self._figures = tuple(map(metric_row, self.rows(METRICS, "measure").collect()))
        return self._figures

    @property
    def followed(self) -> str | None:
        """The run that readers of the store's channel follow now."""
        return followed(self.store)

    def refuse_followed(self) -> None:
        """A step alone must not change what readers follow.

        Raises:
            ConfigError: the pointer of this channel, or of one that the run was given to, is at this run.
        """
        if self._begun_here:
            return  # no reader can know it
        given = {channel_of(name, PUBLISHED) for name in self.state.table_versions} - {self.store.channel}
        others = [self.store.in_channel(channel) for channel in given if channel is not None]
        if self.state.run_id in (self.followed, *map(followed, others)):
            raise ConfigError(f"run {self.state.run_id} is published, its tables stay as they are: start a new run")

    def refuse_given(self, step: str) -> None:
        """Refuse a step that makes a tokenizer where one was given.

        Raises:
            ConfigError: the run takes a tokenizer that is there.
        """
        if not self.state.trains:
            raise ConfigError(
                f"run {self.state.run_id} takes tokenizer {self.state.tokenizer_id}, which is there: drq {step} has "
                "nothing to do, go on with drq assign"
            )

    def overtaken(self) -> bool:
        """Whether readers follow a newer run: one of a later day, or of this day and begun later."""
        followed = self.followed
        return (
            followed not in (None, self.state.run_id)
            and newest(self.store, str(followed), self.state.run_id) == followed
        )

    def move_pointer(self) -> None:
        """Let readers follow this run, in one commit."""
        state = self.state
        version = state.table_versions[self.store.name_of(CURRENT_SIDS if state.is_night else SIDS)]
        row = (state.run_id, state.run_date, state.tokenizer_id, version, state.rows_out)
        schema = "run_id string, run_date date, tokenizer_id string, sids_version bigint, rows bigint"
        self.write(PUBLISHED, self.spark.createDataFrame([row], schema))

    def look_at_second_version(self, path: str) -> None:
        """Measure with a second version of the embeddings, whatever the run began with; its row keeps what was read."""
        config = self.config.model_dump(mode="json")
        config["measure"]["embeddings_after"] = path
        self.config = Config.model_validate(config)
        self.state = replace(self.state, config=canonical_json(config))


def metric_row(row: Row) -> MetricRow:
    """A row of the metrics table without what says of which run it is."""
    return MetricRow(**{item.name: row[item.name] for item in fields(MetricRow)})


def open_run(
    store: Store, run_id: str | None, watcher: Watcher, lease: Lease | None = None, channel: str | None = None
) -> Run:
    """A run of the runs table (the latest without an id), whatever made its SIDs, for its own channel or another one.

    Raises:
        ConfigError: there is none, or it has been cleared away.
    """
    state = find_run(store, run_id)
    if state.status == Status.VACUUMED.value and run_id is not None:
        raise ConfigError(f"run {run_id} has been cleared away by drq vacuum: only its figures are left")
    return Run(store.in_channel(channel or state.channel), state.settings(), state, watcher, lease)


def resume(store: Store, run_id: str | None, watcher: Watcher, channel: str | None = None) -> Run:
    """A run of the runs table (the latest without an id), for running one of its steps alone.

    Raises:
        ConfigError: there is none, or its SIDs come from elsewhere: it has no steps, and readers never follow it.
        Busy: another run is at work in the store.
    """
    lease = Lease(store)
    lease.wait(watcher.heading)
    run = open_run(store, run_id, watcher, lease, channel)
    if run.config.external:
        raise ConfigError(
            f"run {run.state.run_id} measured SIDs from elsewhere: drq measure --sids is all there is to do with them; "
            "name another run with --run"
        )
    return run
