"""How a run ended: what the gate says of its figures, alone and beside those of earlier runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import functions as F

from drq_spark.gate import GateResult, judge
from drq_spark.metrics import MetricRow, Metrics
from drq_spark.run_state import RunState, followed_runs
from drq_spark.runs import Run, metric_row
from drq_spark.schemas import METRICS


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        state: Its row of the runs table.
        codebook_sizes: K per level.
        figures: Its rows of the metrics table.
        gate: What the gate said.
        repeated: Whether it had been finished before.
        followed: The run that readers follow now.
    """

    state: RunState
    codebook_sizes: tuple[int, ...]
    figures: tuple[MetricRow, ...]
    gate: tuple[GateResult, ...]
    repeated: bool
    followed: str | None


def outcome_of(run: Run, *, repeated: bool) -> Outcome:
    """What there is to tell when a run has finished."""
    figures = run.figures()
    return Outcome(run.state, run.codebook_sizes, figures, judged(run, figures), repeated, run.followed)


def judged(run: Run, figures: Sequence[MetricRow]) -> tuple[GateResult, ...]:
    """What the gate says; readers never follow external SIDs, so that there is nothing to judge."""
    if run.config.external:
        return ()
    rules, has_previous = run.config.gate.rules, run.state.previous_run_id is not None
    past = _past_figures(run, max((rule.of_last or 0 for rule in rules), default=0))
    return judge(rules, figures, run.config.measure, has_previous=has_previous, past=past)


def _past_figures(run: Run, most: int) -> list[Metrics]:
    """Figures of the runs that readers followed before this one, the latest first, at most so many."""
    if not most:
        return []
    ids = [run_id for run_id in followed_runs(run.store, most + 1) if run_id != run.state.run_id][:most]
    rows = run.store.read(METRICS).where(F.col("run_id").isin(ids)).collect()
    return [Metrics(metric_row(row) for row in rows if row.run_id == run_id) for run_id in ids]
