"""The row of the runs table: what a run is known by, how far it has come, and how it is found again.

A run is known by what goes into it: its settings, the rows of the tables, and the package version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date, datetime
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from drq_spark import __version__
from drq_spark.config import Config, canonical_json
from drq_spark.errors import ConfigError
from drq_spark.schemas import LIVE, PUBLISHED, RUNS, Mode, Status, channel_of
from drq_spark.store import Store


@dataclass(frozen=True)
class Origin:
    """Where the tokenizer of a run comes from; see `schemas.RUNS`."""

    mode: str = Mode.TRAINED.value
    tokenizer_id: str | None = None
    base_run_id: str | None = None


TRAINED = Origin()
"""The run trains one."""


@dataclass(frozen=True)
class RunState:
    """One row of the runs table; see `schemas.RUNS`."""

    run_id: str
    run_date: date
    status: str
    config_fingerprint: str
    input_fingerprint: str
    rows_in: int
    dim: int
    id_type: str
    started_at: datetime
    config: str
    taken_up_at: datetime | None = None
    input_versions: Mapping[str, int] = field(default_factory=dict)
    tokenizer_id: str | None = None
    rows_out: int | None = None
    rows_quarantined: int | None = None
    previous_run_id: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    table_versions: Mapping[str, int] = field(default_factory=dict)
    package_version: str = __version__
    notes: Sequence[str] = ()
    mode: str = Mode.TRAINED.value
    base_run_id: str | None = None
    channel: str = LIVE

    @property
    def trains(self) -> bool:
        """Whether the run trains its tokenizer."""
        return self.mode in (Mode.TRAINED.value, Mode.RETRAINED.value)

    @property
    def carries_over(self) -> bool:
        """Whether items that are as they were keep the SID that they have in another run, without being encoded."""
        return self.base_run_id is not None and not self.trains

    @property
    def is_night(self) -> bool:
        """Whether it changes the SIDs of another run instead of having all of its own."""
        return self.mode == Mode.NIGHT.value

    @property
    def taken_up(self) -> bool:
        """Whether it was killed once, and taken up again."""
        return self.taken_up_at not in (None, self.started_at)

    def settings(self) -> Config:
        """The settings that the run was started with."""
        return Config.model_validate_json(self.config)


def new_run(
    config: Config,
    input_fingerprint: str,
    run_date: date,
    started_at: datetime,
    rows_in: int,
    dim: int,
    id_type: str,
    origin: Origin = TRAINED,
) -> RunState:
    """State of a run that has done nothing yet; its id is the date and a hash of all that goes in."""
    settings = config.fingerprint()
    known_by = f"{settings}:{input_fingerprint}:{__version__}"
    channel = config.store.channel
    if channel != LIVE:
        known_by += f":{channel}"
    if origin != TRAINED:
        known_by += f":{origin.mode}:{origin.tokenizer_id}:{origin.base_run_id}"
    identity = hashlib.sha256(known_by.encode()).hexdigest()[:8]
    return RunState(
        run_id=f"{run_date.isoformat()}-{identity}",
        run_date=run_date,
        status=Status.STARTED.value,
        config_fingerprint=settings,
        input_fingerprint=input_fingerprint,
        rows_in=rows_in,
        dim=dim,
        id_type=id_type,
        started_at=started_at,
        taken_up_at=started_at,
        config=canonical_json(config.model_dump(mode="json")),
        channel=channel,
        **asdict(origin),
    )


def find_same_run(store: Store, state: RunState) -> RunState | None:
    """An earlier run of the same settings, rows, package version, channel and origin."""
    if not store.exists(RUNS):
        return None
    same = store.read(RUNS).where(
        (F.col("config_fingerprint") == state.config_fingerprint)
        & (F.col("input_fingerprint") == state.input_fingerprint)
        & (F.col("package_version") == state.package_version)
        & (F.coalesce("mode", F.lit(Mode.TRAINED.value)) == state.mode)
        & (_channel() == state.channel)
        & F.col("base_run_id").eqNullSafe(F.lit(state.base_run_id))
        & (F.col("status") != Status.VACUUMED.value)
    )
    if not state.trains:
        same = same.where(F.col("tokenizer_id") == F.lit(state.tokenizer_id))
    row = same.orderBy(F.desc("started_at")).first()
    return None if row is None else _state(row.asDict())


def taken_up(before: RunState | None, fresh: RunState) -> RunState:
    """The earlier try of a run, which goes on under its own id and date with what it is given now; else the fresh one.

    A finished run stays as it is.
    """
    if before is None or Status(before.status).finished:
        return before or fresh
    return replace(before, taken_up_at=fresh.taken_up_at, config=fresh.config, input_versions=fresh.input_versions)


def find_run(store: Store, run_id: str | None) -> RunState:
    """The run of that id, or the one that was begun or taken up last.

    Raises:
        ConfigError: there is none.
    """
    _require_runs(store)
    row = store.read(RUNS, run_id).orderBy(F.desc(F.coalesce("taken_up_at", "started_at"))).first()
    if row is None:
        raise ConfigError(f"{store.out} holds no run {run_id!r}; the runs table lists them")
    return _state(row.asDict())


def latest_runs(store: Store, most: int | None) -> list[RunState]:
    """The runs by day and start, newest first; at most so many, or all.

    Raises:
        ConfigError: there are none.
    """
    _require_runs(store)
    rows = store.read(RUNS).orderBy(F.desc("run_date"), F.desc("started_at"))
    return [_state(row.asDict()) for row in (rows if most is None else rows.limit(most)).collect()]


def recent_nights(store: Store, tokenizer_id: str, base: str, most: int) -> dict[str, list[str]]:
    """Channel -> latest runs that carried SIDs of a tokenizer over and changed what its readers find.

    At most so many of the store's own channel; of others those that the base stems from: they count where a run of
    another channel was given to these readers, or this channel began at it. A run that has passed the gate and no more
    was killed on the way to its readers, before or after they were moved. One whose rows were cleared away counts, too:
    what its items left is still told by `schemas.SID_CHANGES`.
    """
    runs = store.read(RUNS).where(
        (F.col("tokenizer_id") == tokenizer_id)
        & F.col("base_run_id").isNotNull()
        & (F.col("mode") != Mode.RETRAINED.value)
        & F.col("status").isin(Status.PUBLISHED.value, Status.PASSED.value, Status.VACUUMED.value)
    )
    told = runs.select("run_id", "base_run_id", _channel().alias("channel"), _was_published(store).alias("here"))
    rows = {row.run_id: row for row in told.orderBy(F.desc("run_date"), F.desc("started_at")).collect()}
    found = {store.channel: [run_id for run_id, row in rows.items() if row.here][:most]}
    step: str | None = base
    for _ in range(most):
        row = rows.get(step)
        if row is None:
            break
        if row.channel != store.channel:
            found.setdefault(row.channel, []).append(row.run_id)
        step = row.base_run_id
    return found


def followed_runs(store: Store, most: int) -> list[str]:
    """The latest runs that readers of the store's channel have followed, newest first, at most so many.

    Runs whose rows were cleared away are among them, for their figures stay.
    """
    cleared = (F.col("status") == Status.VACUUMED.value) & _had_pointer(store)
    followed = (F.col("status") == Status.PUBLISHED.value) & _was_published(store)
    runs = store.read(RUNS).where(followed | cleared)
    latest = runs.orderBy(F.desc("run_date"), F.desc("started_at")).limit(most)
    return [str(row.run_id) for row in latest.select("run_id").collect()]


def _require_runs(store: Store) -> None:
    if not store.exists(RUNS):
        raise ConfigError(f"{store.out} holds no runs: start with drq run or drq sample")


def channels(store: Store) -> list[str]:
    """`LIVE`, and then all that runs were made for or given to, by name.

    Raises:
        ConfigError: there are no runs.
    """
    _require_runs(store)
    tables = F.array_append(F.map_keys("table_versions"), F.concat(F.lit(f"{PUBLISHED.name}_"), _channel()))
    names = store.read(RUNS).select(F.explode(tables)).distinct().collect()
    found = {channel_of(str(name), PUBLISHED) for (name,) in names} - {None, LIVE}
    return [LIVE, *sorted(map(str, found))]


def pointers(store: Store) -> dict[str, str]:
    """Channel -> run that its readers follow, of every channel that has one, in the order of `channels`."""
    named = {channel: followed(store.in_channel(channel)) for channel in channels(store)}
    return {channel: run_id for channel, run_id in named.items() if run_id is not None}


def followed(store: Store) -> str | None:
    """The run that readers of the store's channel follow now."""
    row = store.read(PUBLISHED).first() if store.exists(PUBLISHED) else None
    return None if row is None else str(row.run_id)


def training_run(store: Store, tokenizer_id: str) -> RunState | None:
    """The latest run that trained a tokenizer, where its rows are still there."""
    trained = store.read(RUNS).where(
        (F.col("tokenizer_id") == tokenizer_id)
        & F.coalesce("mode", F.lit(Mode.TRAINED.value)).isin(Mode.TRAINED.value, Mode.RETRAINED.value)
        & (F.col("status") != Status.VACUUMED.value)
    )
    row = trained.orderBy(F.desc("started_at")).first()
    return None if row is None else _state(row.asDict())


def newest(store: Store, *run_ids: str) -> str | None:
    """Of some runs the one of the latest day, and of those of one day the one that began last; None where none is."""
    runs = store.read(RUNS).where(F.col("run_id").isin(*run_ids))
    row = runs.orderBy(F.desc("run_date"), F.desc("started_at")).first()
    return None if row is None else str(row.run_id)


def _state(row: Mapping[str, Any]) -> RunState:
    known = {item.name: row[item.name] for item in fields(RunState)}
    return RunState(
        **known
        | {"input_versions": row["input_versions"] or {}, "mode": row["mode"] or Mode.TRAINED.value}
        | {"channel": row["channel"] or LIVE}
    )


def _channel() -> Column:
    return F.coalesce("channel", F.lit(LIVE))


def _was_published(store: Store) -> Column:
    """Whether a run was made for the readers of the store's channel, or given to them later."""
    return (_channel() == store.channel) | _had_pointer(store)


def _had_pointer(store: Store) -> Column:
    """Whether the pointer of the store's channel was at a run."""
    return F.map_contains_key("table_versions", store.name_of(PUBLISHED))
