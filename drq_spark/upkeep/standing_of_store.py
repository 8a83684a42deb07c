"""What readers follow now, who is at work, and which runs were left on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drq_spark.lease import Lease
from drq_spark.run_state import RunState, find_run, latest_runs
from drq_spark.schemas import CURRENT_SIDS, PUBLISHED, Status
from drq_spark.store import Store

_LOOKED_AT = 30  # runs, newest first


@dataclass(frozen=True)
class StandingOfStore:
    """How a store stands.

    Attributes:
        followed: The run that readers follow; None where nothing is published.
        readers_version: Version of current_sids; None where there is none.
        at_work: Who writes into the store now, in words; None where nobody does.
        unfinished: Runs that have not ended, newest first: one of them is at work where anybody is.
    """

    followed: RunState | None
    readers_version: int | None
    at_work: str | None
    unfinished: Sequence[RunState]


def standing_of(store: Store) -> StandingOfStore:
    """How a store stands.

    Raises:
        ConfigError: it holds no runs.
    """
    runs = latest_runs(store, _LOOKED_AT)
    pointer = store.read(PUBLISHED).first() if store.exists(PUBLISHED) else None
    return StandingOfStore(
        followed=None if pointer is None else find_run(store, str(pointer.run_id)),
        readers_version=store.version(CURRENT_SIDS) if store.exists(CURRENT_SIDS) else None,
        at_work=Lease(store).described(),
        unfinished=[run for run in runs if not Status(run.status).finished],
    )
