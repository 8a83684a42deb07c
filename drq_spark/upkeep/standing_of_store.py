"""What readers follow now, who is at work, and which runs were left on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drq_spark.lease import Lease
from drq_spark.run_state import RunState, find_run, latest_runs, pointers
from drq_spark.schemas import CURRENT_SIDS, Status
from drq_spark.store import Store

_LOOKED_AT = 30  # runs, newest first


@dataclass(frozen=True)
class StandingOfStore:
    """How a store stands.

    Attributes:
        followed: Channel -> run that its readers follow, and the version of its current_sids; None for none.
        at_work: Who writes into the store now, in words; None where nobody does.
        unfinished: Runs that have not ended, newest first: one of them is at work where anybody is.
    """

    followed: Mapping[str, tuple[RunState, int | None]]
    at_work: str | None
    unfinished: Sequence[RunState]


def standing_of(store: Store) -> StandingOfStore:
    """How a store stands.

    Raises:
        ConfigError: it holds no runs.
    """
    runs = latest_runs(store, _LOOKED_AT)
    followed = {
        channel: (find_run(store, run_id), _version(store, channel)) for channel, run_id in pointers(store).items()
    }
    return StandingOfStore(
        followed=followed,
        at_work=Lease(store).described(),
        unfinished=[run for run in runs if not Status(run.status).finished],
    )


def _version(store: Store, channel: str) -> int | None:
    there = store.in_channel(channel)
    return there.version(CURRENT_SIDS) if there.exists(CURRENT_SIDS) else None
