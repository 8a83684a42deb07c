"""Clearing away what old runs have left: their rows, tokenizers and rankers nobody needs, files that no version has.

A run that is cleared away keeps its row of the runs table (status `vacuumed`) and its figures, so that the history
stays; nothing else of it does, and readers cannot be moved back to it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyspark.sql import functions as F

from drq_spark.files import folders, read_bytes, remove_folder
from drq_spark.run_state import RunState, channels, latest_runs, pointers
from drq_spark.runs import Run
from drq_spark.schemas import CURRENT_SIDS, METRICS, RUNS, SID_CHANGES, SIDS, TABLES, USER_STATES, Status, Table
from drq_spark.store import Store

_STAY = (RUNS, METRICS, SID_CHANGES)  # thin, and what history, held suffixes and readers' copies are made of

_SCANNED = (SIDS, CURRENT_SIDS)  # what readers read whole


@dataclass(frozen=True)
class Clearance:
    """What goes.

    Attributes:
        runs: Runs whose rows go.
        tokenizers: Folders of tokenizers that only such runs have.
        rankers: Folders of rankers that know items by SIDs of such tokenizers, or were not written to their end. The
            states that they keep of users go with them, for they mean something to their ranker alone.
    """

    runs: tuple[RunState, ...]
    tokenizers: tuple[str, ...]
    rankers: tuple[str, ...]

    @property
    def run_ids(self) -> list[str]:
        """Of the runs whose rows go."""
        return [state.run_id for state in self.runs]


def clearance(run: Run, keep: int) -> Clearance:
    """What may go where the latest `keep` runs of each channel stay, and those that readers follow, whatever their age.

    Args:
        run: Any run of the store; what counts is the store.
        keep: Runs of a channel that stay.
    """
    store = run.store
    states = [state for state in latest_runs(store, None) if state.status != Status.VACUUMED.value]
    left = Counter(dict.fromkeys({state.channel for state in states}, keep))
    followed, kept = set(pointers(store).values()), []
    for state in states:
        if left[state.channel] > 0 or state.run_id in followed:
            kept.append(state)
        left[state.channel] -= 1
    gone = [state for state in states if state not in kept]
    needed = {state.tokenizer_id for state in kept}
    unused = sorted(name for name in folders(store.tokenizers) if name not in needed)
    useless = sorted(name for name in folders(store.rankers) if _tokenizer_of_ranker(store, name) not in needed)
    return Clearance(tuple(gone), tuple(unused), tuple(useless))


def _tokenizer_of_ranker(store: Store, ranker_id: str) -> str | None:
    """The tokenizer whose SIDs a ranker knows items by; None where it was not written to its end."""
    try:
        return str(json.loads(read_bytes(store.ranker_header(ranker_id)))["tokenizer_id"])
    except FileNotFoundError:
        return None


def clear(run: Run, found: Clearance, retain_hours: float, *, optimize: bool = False) -> None:
    """Delete what may go, and the files that no version of a table has had for some hours.

    Args:
        run: The run that the lease is held for.
        found: What goes.
        retain_hours: As for Delta's VACUUM: readers of a version that is older find its files gone.
        optimize: Whether the small files that nights have left of the SIDs are put together, too.
    """
    store = run.store
    run.hold()
    ids = found.run_ids
    if ids:
        store.mark(RUNS, ids, {"status": Status.VACUUMED.value})  # first: killed after it, nobody takes them for whole
    for there, table in _all_tables(store):
        if ids and table.by_run and table not in _STAY:
            there.remove(table, ids)
        if found.rankers and table is USER_STATES:
            there.remove(table, found.rankers, "ranker_id")
        if optimize and table in _SCANNED:
            there.optimize(table)
        there.vacuum(table, retain_hours)
    for root, names in ((store.tokenizers, found.tokenizers), (store.rankers, found.rankers)):
        for name in names:
            remove_folder(f"{root}/{name}")


def _all_tables(store: Store) -> Iterator[tuple[Store, Table]]:
    """Every table that is there, those of all channels, with the store that finds it."""
    named = [store.in_channel(channel) for channel in channels(store)]
    for table in TABLES:
        yield from ((there, table) for there in (named if table.by_channel else [store]) if there.exists(table))


def rows_of(store: Store, found: Clearance) -> dict[str, int]:
    """Table -> rows that go with runs and rankers; tables without any are left out."""
    of_runs = [table for table in TABLES if table.by_run and table not in _STAY]
    counts = {table.name: _count(store, table, "run_id", found.run_ids) for table in of_runs}
    counts[USER_STATES.name] = _count(store, USER_STATES, "ranker_id", found.rankers)
    return {name: count for name, count in counts.items() if count}


def _count(store: Store, table: Table, column: str, ids: Sequence[str]) -> int:
    if not ids or not store.exists(table):
        return 0
    return store.read(table).where(F.col(column).isin(list(ids))).count()
