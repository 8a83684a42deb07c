"""The runs so far, newest first: what each was made of, how it ended, and what it changed for readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import functions as F

from drq_spark.metrics import ITEMS, Metric
from drq_spark.run_state import RunState, latest_runs
from drq_spark.schemas import METRICS, SID_CHANGES, Change
from drq_spark.store import Store

SHOWN = (
    Metric.ITEMS,
    Metric.UNIQUE_SIDS,
    Metric.DUPLICATE_RATE,
    Metric.RELATIVE_MSE,
    Metric.RESIDUAL_SHARE_NEW,
    Metric.RESIDUAL_SHARE_UNSEEN,
    Metric.CHURN,
)


@dataclass(frozen=True)
class Past:
    """One run.

    Attributes:
        state: Its row of the runs table.
        figures: Those of `SHOWN` that it has, of whole SIDs.
        drift: Level -> code_drift, of runs that took a tokenizer that was there.
        changes: Change -> items, of what it last changed for readers; none where it was never published.
    """

    state: RunState
    figures: Mapping[Metric, float]
    drift: Mapping[int, float]
    changes: Mapping[Change, int]


def history(store: Store, most: int) -> Sequence[Past]:
    """The latest runs, at most so many.

    Raises:
        ConfigError: there are none.
    """
    states = latest_runs(store, most)
    figures = _figures(store, [state.run_id for state in states])
    changes: dict[str, Mapping[Change, int]] = {}
    for channel in {state.channel for state in states}:
        of_channel = [state.run_id for state in states if state.channel == channel]
        changes |= _changes(store.in_channel(channel), of_channel)
    return [_past(state, figures.get(state.run_id, {}), changes.get(state.run_id, {})) for state in states]


def _past(state: RunState, figures: Mapping[tuple[Metric, int], float], changes: Mapping[Change, int]) -> Past:
    drift = {level: value for (metric, level), value in sorted(figures.items()) if metric is Metric.CODE_DRIFT}
    wholes = {metric: value for (metric, level), value in figures.items() if level == 0}
    return Past(state, wholes, drift, changes)


def _figures(store: Store, ids: Sequence[str]) -> Mapping[str, Mapping[tuple[Metric, int], float]]:
    if not store.exists(METRICS):
        return {}
    of_wholes = (F.col("level") == 0) & F.col("metric").isin([metric.value for metric in SHOWN])
    wanted = (of_wholes | (F.col("metric") == Metric.CODE_DRIFT.value)) & (F.col("weighting") == ITEMS)
    rows = store.read(METRICS).where(F.col("run_id").isin(list(ids)) & wanted).collect()
    found: dict[str, dict[tuple[Metric, int], float]] = {}
    for row in rows:
        found.setdefault(row.run_id, {})[Metric(row.metric), row.level] = row.value
    return found


def _changes(store: Store, ids: Sequence[str]) -> Mapping[str, Mapping[Change, int]]:
    """Of the latest version of current_sids that each run made in the store's channel."""
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
