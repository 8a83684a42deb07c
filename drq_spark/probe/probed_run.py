"""One run, measured if it was not, and the downstream models that use its SIDs, trained and judged."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark import pipeline
from drq_spark.compare.trials import has_figures
from drq_spark.config import canonical_json
from drq_spark.inputs.items import Catalogue
from drq_spark.probe.behaviour_data import BehaviourData, Questions
from drq_spark.probe.behaviour_of_run import Drawn, drawn_from
from drq_spark.probe.behaviour_split import Drawing
from drq_spark.probe.downstream_figures import (
    SEGMENTS,
    DownstreamFigure,
    ranking_figures,
    recommendation_figures,
)
from drq_spark.probe.downstream_models import MODELS
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.questions_asked import ranks_of_targets, scores_of_shown
from drq_spark.progress import Watcher
from drq_spark.runs import Run
from drq_spark.schemas import PROBE_FIGURES
from drq_spark.train.runtime import torch_threads

_VERSION = 3  # changes whenever the same model comes to have other figures
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


def probed(run: Run, catalogue: Catalogue, plan: Plan, drawn: Drawn | None, *, bases: bool) -> Drawn | None:
    """Measure a run unless it was, then train and judge the models that have no figures yet; they go into its slice.

    Args:
        run: The run.
        catalogue: What it reads.
        plan: Which models.
        drawn: What was drawn for another run of the same seed; None where nothing was.
        bases: Whether models that use no SID are judged with this run.

    Returns:
        What was drawn, for the next run of the seed; None where nothing was needed so far.
    """
    rows = figures_of(run, plan.digest(run.config.seed))
    wanted = [name for name in plan.models if MODELS[name].uses_sids or bases]
    missing = [name for name in wanted if name not in {row["model"] for row in rows}]
    if has_figures(run) and not missing:
        return drawn
    with run.tidied():
        if not has_figures(run):
            pipeline.to_figures(run, catalogue)
        run.hold()
        with run.watcher.step("draw"):
            if drawn is None:
                drawn = drawn_from(run, catalogue, plan.drawing, plan.effort.history)
            else:
                drawn = drawn.with_sids(run)
            _tell(run.watcher, drawn.data)
        for name in missing:
            with run.watcher.step(name):
                rows += _judged(run, plan, name, drawn.data)
                run.write(PROBE_FIGURES, _as_table(run, rows))
    return drawn


def _tell(watcher: Watcher, data: BehaviourData) -> None:
    """Say how much was drawn."""
    events, items, cold = len(data.training.items), len(data.candidates), int(data.candidates.cold.sum())
    watcher.note(f"{events:,} events of {len(data.training):,} users train, {len(data.test):,} questions test")
    watcher.note(f"{items:,} candidates, {cold:,} of them cold")


def _as_table(run: Run, rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    names = [part.split()[0] for part in _FIGURES_DDL.split(", ")]
    return run.spark.createDataFrame([tuple(row[name] for name in names) for row in rows], _FIGURES_DDL)


def figures_of(run: Run, digest: str) -> list[dict[str, Any]]:
    """The figures that a run has of models trained on a drawing, see `schemas.PROBE_FIGURES`."""
    if not run.store.exists(PROBE_FIGURES):
        return []
    rows = run.store.read(PROBE_FIGURES, run.state.run_id).where(F.col("drawing") == digest)
    return [row.asDict() for row in rows.drop("run_id", "tokenizer_id").collect()]


def _of_codes(fitted: Any, asked: Questions) -> list[DownstreamFigure]:
    """What a generator has to guess at each code; nothing of a model that names no codes."""
    if not hasattr(fitted, "sid_surprises"):
        return []
    from drq_spark.probe.step_entropy import code_bits  # loads torch

    bits = enumerate(code_bits(fitted, asked), start=1)
    return [DownstreamFigure(f"bits_{level}", SEGMENTS[0], *estimate, len(asked)) for level, estimate in bits]


def _judged(run: Run, plan: Plan, name: str, data: BehaviourData) -> list[dict[str, Any]]:
    """The rows of a model that is trained now and put to the test part."""
    effort, start = replace(plan.effort, seed=run.config.seed), time.monotonic()
    with torch_threads(run.config.train.threads):
        fitted = MODELS[name].trainer().fit(data, effort, run.watcher.progress)
    seconds = time.monotonic() - start
    if MODELS[name].task == "recommend":
        ranks = ranks_of_targets(run.spark, fitted, data.test)
        figures = recommendation_figures(ranks, data.test, data.candidates) + _of_codes(fitted, data.test)
    else:
        figures = ranking_figures(scores_of_shown(run.spark, fitted, data.test), data.test, data.candidates)
        figures += getattr(fitted, "earned", ())  # by a model that has explored
    if MODELS[name].keeps_states:
        _freeze(run, fitted)
    run.watcher.note(", ".join(f"{one.figure} {one.value:.3f}" for one in figures if one.segment == SEGMENTS[0]))
    told = {"model": name, "drawing": plan.digest(run.config.seed), "seconds": seconds}
    return [asdict(figure) | told | {"standard_error": _known(figure.standard_error)} for figure in figures]


def _freeze(run: Run, fitted: Any) -> None:
    """Write a ranker of user states down, by which `drq states` moves them."""
    from drq_spark.probe.frozen_ranker import save_ranker  # loads torch

    assert run.state.tokenizer_id is not None  # the run has SIDs
    folder = save_ranker(fitted, run.state.tokenizer_id, run.store.rankers)
    run.watcher.note(f"ranker {folder.rpartition('/')[2]}")


def _known(error: float) -> float | None:
    """An error, or None where it is nan."""
    return error if isfinite(error) else None
