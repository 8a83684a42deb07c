"""Downstream models on the SIDs of several tokenizers and seeds, and which figures of the SIDs go with theirs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial

from pyspark.sql import SparkSession

from drq_spark import pipeline
from drq_spark.compare.standing import values_of
from drq_spark.compare.trials import checked_names, settings_of
from drq_spark.config import Config
from drq_spark.errors import ConfigError
from drq_spark.inputs.pinning import pin
from drq_spark.lease import begun_anew
from drq_spark.probe.behaviour_of_run import Drawn
from drq_spark.probe.downstream_models import MODELS
from drq_spark.probe.probed_run import Plan, figures_of, probed
from drq_spark.probe.what_predicts import Downstream, Point
from drq_spark.progress import Watcher
from drq_spark.runs import Run


def probe(
    spark: SparkSession,
    config: Config,
    names: Sequence[str],
    seeds: Sequence[int],
    dials: Sequence[float | None],
    plan: Plan,
    run_date: date,
    started_at: datetime,
    watcher: Watcher,
) -> list[Point]:
    """Measure each tokenizer under each seed and dial, train the models on its SIDs, and judge them.

    All tokenizers of a seed have the same sample, users, items and questions: what is drawn depends on hashes of ids
    and the seed. What has been measured or trained before is not done again; nothing is published.

    Args:
        spark, config, run_date, started_at, watcher: As for `pipeline.run_all`.
        names: Tokenizers, see `kinds.KINDS`.
        seeds: Of the samples, of training, and of the downstream models.
        dials: Values of `tokenizer.balance` for tokenizers with dataset-level books; None for what is set.
        plan: Which models, and what they are trained on.

    Raises:
        ConfigError: an unknown name, no events, or no users held out. And what `pipeline.begin` raises.
    """
    if config.events.path is None:
        raise ConfigError("drq probe trains models on what users do: give --events PATH_OR_TABLE")
    if config.events.holdout == 0:
        raise ConfigError(
            "events.holdout is 0, and drq probe asks only users of whom tokenizers have learned nothing: "
            "set it to a share of users, such as 0.2"
        )
    if not any(MODELS[name].uses_sids for name in plan.models):
        raise ConfigError("--models names none that uses SIDs: nothing would depend on a tokenizer")
    lacking = [name for name in plan.models if MODELS[name].needs_attributes and not config.items.attributes]
    if lacking:
        raise ConfigError(f"{lacking[0]} names attributes before SIDs: set items.attributes, or leave it out")
    config, _ = pin(spark, config)  # all of them read the same version
    points = []
    for seed in seeds:
        drawn: Drawn | None = None
        bases = True  # judged with the first run of a seed
        for name in checked_names(names):
            for resolved in _with_dials(settings_of(config, name, seed), dials):
                label = (
                    name if resolved.tokenizer.balance is None else f"{name}, balance {resolved.tokenizer.balance:g}"
                )
                watcher.heading(f"{label}, seed {seed}")
                work = partial(_one, spark, resolved, run_date, started_at, watcher, plan, drawn, bases)
                run, drawn = begun_anew(work)
                bases = False
                points.append(_point(run, label, name, seed, plan))
    return points


def _with_dials(config: Config, dials: Sequence[float | None]) -> list[Config]:
    """The settings with each dial; as they are for a tokenizer that has none."""
    if not config.tokenizer.kind.dataset_books:
        return [config]
    chosen = [
        config.tokenizer if dial is None else config.tokenizer.model_copy(update={"balance": dial}) for dial in dials
    ]
    return [config.model_copy(update={"tokenizer": tokenizer}) for tokenizer in chosen]


def _one(
    spark: SparkSession,
    config: Config,
    run_date: date,
    started_at: datetime,
    watcher: Watcher,
    plan: Plan,
    drawn: Drawn | None,
    bases: bool,
) -> tuple[Run, Drawn | None]:
    run, catalogue = pipeline.begin(spark, config, run_date, started_at, watcher)
    return run, probed(run, catalogue, plan, drawn, bases=bases)


def _point(run: Run, label: str, name: str, seed: int, plan: Plan) -> Point:
    """What is known of one run: figures of its SIDs, and of the models that use them."""
    rows = figures_of(run, plan.digest(seed))
    return Point(
        label=label,
        name=name,
        seed=seed,
        diagnosis=values_of(run.figures(), run.config.tokenizer.codebook_sizes, run.config.measure),
        downstream={
            (row["model"], row["figure"], row["segment"]): Downstream(
                row["value"], row["standard_error"], row["questions"]
            )
            for row in rows
            if row["model"] in plan.models
        },
    )
