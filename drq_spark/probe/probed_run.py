"""One run, measured if it was not, and the downstream models that use its SIDs, trained and judged."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from pyspark.sql import functions as F

from drq_spark import pipeline
from drq_spark.compare.trials import has_figures
from drq_spark.config import canonical_json
from drq_spark.inputs.items import Catalogue
from drq_spark.probe.behaviour_data import BehaviourData
from drq_spark.probe.behaviour_of_run import Drawn, drawn_from
from drq_spark.probe.behaviour_split import Drawing
from drq_spark.probe.downstream_figures import DownstreamFigure, ranking_figures, recommendation_figures
from drq_spark.probe.downstream_models import MODELS
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.questions_asked import ranks_of_targets, scores_of_shown
from drq_spark.progress import Watcher
from drq_spark.runs import Run
from drq_spark.schemas import PROBE_FIGURES
from drq_spark.train.runtime import torch_threads

_VERSION = 1  # changes whenever the same model comes to have other figures
_FIGURES_DDL = (
    "drawing string, model string, figure string, segment string, value double, standard_error double, "
    "questions bigint, seconds double"
)


@dataclass(frozen=True)
class Plan:
    """Which models are trained on what, and for how long.

    Attributes:
        models: Names, see `downstream_models.MODELS`.
        drawing: What is drawn of the events and items.
        effort: How long models train; its seed is that of the run.
    """

    models: tuple[str, ...]
    drawing: Drawing
    effort: Effort

    def digest(self, seed: int) -> str:
        """16 hex digits of everything but the names that can change a figure of one run."""
        deciding = [_VERSION, asdict(self.drawing), asdict(self.effort), seed]
        return hashlib.sha256(canonical_json(deciding).encode()).hexdigest()[:16]


def probed(run: Run, catalogue: Catalogue, plan: Plan, drawn: Drawn | None, baselines: bool) -> Drawn:
    """Measure a run unless it was, then train and judge the models that have no figures yet; they go into its slice.

    Args:
        run: The run.
        catalogue: What it reads.
        plan: Which models.
        drawn: What was drawn for another run of the same seed; None for the first one.
        baselines: Whether models that use no SID are judged with this run.

    Returns:
        What was drawn, for the next run of the seed.
    """
    with run.tidied():
        if not has_figures(run):
            pipeline.to_figures(run, catalogue)
        run.hold()
        with run.watcher.step("draw"):
            if drawn is None:
                drawn = drawn_from(run, catalogue, plan.drawing, plan.effort.history)
            else:
                drawn = drawn.with_sids(run)
        with run.watcher.step("probe"):
            _judge(run, plan, drawn.data, baselines)
    return drawn


def _judge(run: Run, plan: Plan, data: BehaviourData, baselines: bool) -> None:
    """Train and judge what has no figures, and write all figures of this drawing."""
    digest = plan.digest(run.config.seed)
    rows = figures_of(run, digest)
    done = {row["model"] for row in rows}
    wanted = [name for name in plan.models if MODELS[name].uses_sids or baselines]
    for name in wanted:
        if name not in done:
            figures, seconds = _trained(run, plan, name, data)
            rows += [{**asdict(figure), "model": name, "drawing": digest, "seconds": seconds} for figure in figures]
            names = [part.split()[0] for part in _FIGURES_DDL.split(", ")]
            values = [tuple(row[column] for column in names) for row in rows]
            run.write(PROBE_FIGURES, run.spark.createDataFrame(values, _FIGURES_DDL))


def figures_of(run: Run, digest: str) -> list[dict[str, Any]]:
    """The figures that a run has of models trained on a drawing, see `schemas.PROBE_FIGURES`."""
    if not run.store.exists(PROBE_FIGURES):
        return []
    rows = run.store.read(PROBE_FIGURES, run.state.run_id).where(F.col("drawing") == digest)
    return [row.asDict() for row in rows.drop("run_id", "tokenizer_id").collect()]


def _trained(run: Run, plan: Plan, name: str, data: BehaviourData) -> tuple[list[DownstreamFigure], float]:
    """The figures of a model on the test part, and the seconds that training took."""
    effort, start = replace(plan.effort, seed=run.config.seed), time.monotonic()
    with torch_threads(run.config.train.threads):
        fitted = MODELS[name].trainer().fit(data, effort, partial(_told, run.watcher, name))
    seconds = time.monotonic() - start
    if MODELS[name].task == "recommend":
        ranks = ranks_of_targets(run.spark, fitted, data.test)
        return recommendation_figures(ranks, data.test, data.candidates), seconds
    return ranking_figures(scores_of_shown(run.spark, fitted, data.test), data.test, data.candidates), seconds


def _told(watcher: Watcher, name: str, stage: str, done: int, total: int, **figures: float) -> None:
    """Progress of one of several models."""
    watcher.progress(f"{name}: {stage}", done, total, **figures)
