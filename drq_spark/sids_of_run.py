"""The SIDs of a run, whether the run has all of them in a slice of its own or changes those of another run."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.run_state import RunState, find_run
from drq_spark.schemas import CURRENT_SIDS, NIGHT_SIDS, SIDS, Change, channel_of
from drq_spark.store import Store

IS_REMOVED = f"change = '{Change.REMOVED.value}'"
FEW_IDS = 1_000_000
"""Ids that are sent to every node to pick rows out; more are joined by a shuffle."""


def sids_of_run(store: Store, state: RunState) -> DataFrame:
    """Columns of `schemas.SIDS` of every item that has a SID; exposure is NULL for a night, which has none.

    Args:
        store, state: As for `reader_rows`.
    """
    return sids_of_night(reader_rows(store, state)) if state.is_night else store.read(SIDS, state.run_id)


def sids_of_night(rows: DataFrame) -> DataFrame:
    """Columns of `schemas.SIDS` of the `reader_rows` of a night."""
    rows = rows.where("gone_nights = 0")
    return rows.withColumn("exposure", F.lit(None).cast("double")).select(*SIDS.column_names())


def reader_rows(store: Store, state: RunState) -> DataFrame:
    """Columns of `schemas.CURRENT_SIDS`, as readers find them when they follow the run.

    Args:
        store: Where the tables lie.
        state: The run.
    """
    if not state.is_night:
        rows = store.read(SIDS, state.run_id).withColumn("gone_nights", F.lit(0))
        return rows.select(*CURRENT_SIDS.column_names())
    if (kept := _version(store, state)) is not None:
        return kept
    night = store.read(NIGHT_SIDS, state.run_id)
    return changed_by(base_rows(store, state), night, CURRENT_SIDS.column_names())


def _version(store: Store, state: RunState) -> DataFrame | None:
    """The version of current_sids that a run has made, in this channel or else in another one; None where none is."""
    made = {channel_of(name, CURRENT_SIDS): version for name, version in state.table_versions.items()}
    for channel in sorted(filter(None, made), key=lambda one: (one != store.channel, one)):
        there = store.in_channel(channel)
        if there.exists(CURRENT_SIDS):
            return there.read(CURRENT_SIDS, version=made[channel])
    return None


def base_rows(store: Store, state: RunState) -> DataFrame:
    """Columns of `schemas.CURRENT_SIDS` of the run whose SIDs this one carries over."""
    assert state.base_run_id is not None  # asked only of a run that carries SIDs over
    return readers_of(store, state.base_run_id)


def readers_of(store: Store, run_id: str) -> DataFrame:
    """`reader_rows` of a run, which readers follow now in most cases: then they are read as they are."""
    if store.last_writer(CURRENT_SIDS) == run_id:
        return store.read(CURRENT_SIDS)
    return reader_rows(store, find_run(store, run_id))


def changed_by(before: DataFrame, night: DataFrame, columns: Sequence[str], *, few: bool = False) -> DataFrame:
    """Rows of current_sids after a night.

    Args:
        before: Those before it.
        night: The night's rows of `schemas.NIGHT_SIDS`.
        columns: Those that are wanted.
        few: Whether the night has no more than `FEW_IDS`: then no other row is shuffled.
    """
    kept = untouched(before, night, few=few)
    return kept.select(*columns).unionByName(night.where(f"NOT {IS_REMOVED}").select(*columns))


def untouched(before: DataFrame, night: DataFrame, *, few: bool) -> DataFrame:
    """Rows of current_sids that a night leaves as they are; arguments as for `changed_by`."""
    changed = night.select("item_id")
    return before.join(F.broadcast(changed) if few else changed, "item_id", "left_anti")
