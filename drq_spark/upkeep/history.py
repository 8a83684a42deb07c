"""The runs so far, newest first: what each was made of, how it ended, and what it changed for readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import functions as F

from drq_spark.metrics import ITEMS, Metric
from drq_spark.run_state import RunState, latest_runs
from drq_spark.schemas import METRICS, SID_CHANGES, Change
from drq_spark.store import Store

SHOWN = (Metric.DUPLICATE_RATE, Metric.RELATIVE_MSE, Metric.CHURN)


@dataclass(frozen=True)
class Past:
    """One run.

    Attributes:
        state: Its row of the runs table.
        figures: Those of `SHOWN` that it has, of whole SIDs.
        changes: Change -> items, of what it last changed for readers; none where it was never published.
    """

    state: RunState
    figures: Mapping[Metric, float]
    changes: Mapping[Change, int]


def history(store: Store, most: int) -> Sequence[Past]:
    """The latest runs, at most so many.

    Raises:
        ConfigError: there are none.
    """
    states = latest_runs(store, most)
    ids = [state.run_id for state in states]
    figures, changes = _figures(store, ids), _changes(store, ids)
    return [Past(state, figures.get(state.run_id, {}), changes.get(state.run_id, {})) for state in states]


def _figures(store: Store, ids: Sequence[str]) -> Mapping[str, Mapping[Metric, float]]:
    if not store.exists(METRICS):
        return {}
    of_wholes = (F.col("level") == 0) & (F.col("weighting") == ITEMS) & F.col("metric").isin([m.value for m in SHOWN])
    rows = store.read(METRICS).where(F.col("run_id").isin(list(ids)) & of_wholes).collect()
    found: dict[str, dict[Metric, float]] = {}
    for row in rows:
        found.setdefault(row.run_id, {})[Metric(row.metric)] = row.value
    return found


def _changes(store: Store, ids: Sequence[str]) -> Mapping[str, Mapping[Change, int]]:
    """Of the latest version of current_sids that each run made."""
    if not store.exists(SID_CHANGES):
        return {}
    counted = store.read(SID_CHANGES).where(F.col("run_id").isin(list(ids))).groupBy("run_id", "version", "change")
    found: dict[str, dict[Change, int]] = {}
    versions: dict[str, int] = {}
    for row in counted.count().orderBy("version").collect():
        if versions.get(row.run_id) != row.version:
            versions[row.run_id], found[row.run_id] = row.version, {}
        found[row.run_id][Change(row.change)] = row["count"]
    return found
