"""Run every tokenizer with every seed on one catalogue; what has been measured before is not measured again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial

from pyspark.sql import SparkSession

from drq_spark import pipeline
from drq_spark.compare.standing import Comparison, Result, compared, costs_of, values_of
from drq_spark.config import Config
from drq_spark.errors import ConfigError
from drq_spark.inputs.pinning import pin
from drq_spark.kinds import KINDS
from drq_spark.lease import begun_anew
from drq_spark.progress import Watcher
from drq_spark.runs import Run
from drq_spark.schemas import Status

_MEASURED = tuple(status.value for status in Status if status is not Status.STARTED)


def compare(
    spark: SparkSession,
    config: Config,
    names: Sequence[str],
    seeds: Sequence[int],
    run_date: date,
    started_at: datetime,
    watcher: Watcher,
) -> Comparison:
    """Sample, train, assign and measure each tokenizer under each seed; nothing is published.

    Every tokenizer of a seed has the same sample, held-out users, perturbations and queries: all are drawn by hashes
    of ids and the seed.

    Raises:
        ConfigError: an unknown name, or the same one twice. And what `pipeline.begin` raises.
    """
    config, _ = pin(spark, config)  # all of them read the same version
    settings = {(name, seed): settings_of(config, name, seed) for seed in seeds for name in checked_names(names)}
    results = []
    for (name, seed), resolved in settings.items():
        watcher.heading(f"{name}, seed {seed}")
        run = begun_anew(partial(_measured, spark, resolved, run_date, started_at, watcher))
        values = values_of(run.figures(), resolved.tokenizer.codebook_sizes, resolved.measure)
        results.append(Result(name, seed, values | costs_of(run.state.seconds, run.state.rows_out)))
    return compared(results)


def _measured(spark: SparkSession, config: Config, run_date: date, started_at: datetime, watcher: Watcher) -> Run:
    """One run, which is measured now unless it was before."""
    run, catalogue = pipeline.begin(spark, config, run_date, started_at, watcher)
    if not has_figures(run):
        with run.tidied():
            pipeline.to_figures(run, catalogue)
    return run


def has_figures(run: Run) -> bool:
    """Whether a run has been measured before."""
    return run.state.status in _MEASURED


def settings_of(config: Config, name: str, seed: int) -> Config:
    """The settings of one run; the dials of dataset-level books are for tokenizers that have them.

    Raises:
        ConfigError: the tokenizer needs what no source gives.
    """
    named = config.model_dump(mode="json")
    named["seed"], named["tokenizer"]["name"] = seed, name
    if not KINDS[name].dataset_books:
        named["tokenizer"] |= {"balance": None, "beam": None, "balance_by": "items"}
    resolved = Config.model_validate(named)
    resolved.require_sources()
    return resolved


def checked_names(names: Sequence[str]) -> Sequence[str]:
    """The names, each of a tokenizer and there once.

    Raises:
        ConfigError: they are not.
    """
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise ConfigError(f"no tokenizer is called {', '.join(map(repr, unknown))}: choose of {', '.join(KINDS)}")
    if len(set(names)) < len(names) or not names:
        raise ConfigError("--tokenizers needs at least one name, each once, separated by commas")
    return names
