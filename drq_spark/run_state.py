"""The row of the runs table: what a run is known by, how far it has come, and how it is found again.

A run is known by what goes into it: its settings, the rows of the tables, and the package version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any

from pyspark.sql import functions as F

from drq_spark import __version__
from drq_spark.config import Config, canonical_json
from drq_spark.errors import ConfigError
from drq_spark.schemas import RUNS, Status
from drq_spark.store import Store


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
    tokenizer_id: str | None = None
    rows_out: int | None = None
    rows_quarantined: int | None = None
    previous_run_id: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    table_versions: Mapping[str, int] = field(default_factory=dict)
    package_version: str = __version__
    notes: Sequence[str] = ()

    def settings(self) -> Config:
        """The settings that the run was started with."""
        return Config.model_validate_json(self.config)


def new_run(
    config: Config, input_fingerprint: str, run_date: date, started_at: datetime, rows_in: int, dim: int, id_type: str
) -> RunState:
    """State of a run that has done nothing yet; its id is the date and a hash of all that goes in."""
    settings = config.fingerprint()
    identity = hashlib.sha256(f"{settings}:{input_fingerprint}:{__version__}".encode()).hexdigest()[:8]
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
        config=canonical_json(config.model_dump(mode="json")),
    )


def find_same_run(store: Store, state: RunState) -> RunState | None:
    """An earlier run of the same settings, rows and package version."""
    if not store.exists(RUNS):
        return None
    same = store.read(RUNS).where(
        (F.col("config_fingerprint") == state.config_fingerprint)
        & (F.col("input_fingerprint") == state.input_fingerprint)
        & (F.col("package_version") == state.package_version)
    )
    row = same.orderBy(F.desc("started_at")).first()
    return None if row is None else _state(row.asDict())


def find_run(store: Store, run_id: str | None) -> RunState:
    """The run of that id, or the latest.

    Raises:
        ConfigError: there is none.
    """
    if not store.exists(RUNS):
        raise ConfigError(f"{store.out} holds no runs: start with drq run or drq sample")
    runs = store.read(RUNS) if run_id is None else store.read(RUNS, run_id)
    row = runs.orderBy(F.desc("started_at")).first()
    if row is None:
        raise ConfigError(f"{store.out} holds no run {run_id!r}; the runs table lists them")
    return _state(row.asDict())


def _state(row: Mapping[str, Any]) -> RunState:
    return RunState(**{item.name: row[item.name] for item in fields(RunState)})
