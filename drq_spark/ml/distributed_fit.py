"""A tokenizer of a DataFrame: sampled by the cluster as a run samples, trained on the driver."""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql import DataFrame

from drq_spark.config import Config
from drq_spark.inputs.event_log import read_event_log
from drq_spark.inputs.events import events_of
from drq_spark.inputs.items import catalogue_of
from drq_spark.sample.step import drawn, loaded
from drq_spark.staging import Staging
from drq_spark.tokenizer import Tokenizer
from drq_spark.train.driver import check_memory, fit_tokenizer, split
from drq_spark.train.registry import trainer


def fit_on(items: DataFrame, config: Config, staging: Staging) -> Tokenizer:
    """Train the tokenizer that a run with these items and settings trains, bit for bit.

    Only the drawn sample reaches the driver, and the pairs of events where there are some.

    Args:
        items: Any columns, of which `config.items` names some.
        config: All settings; `items.path` is not read.
        staging: Where rows of the sample are kept while it is drawn.

    Raises:
        ConfigError, InputRefused, SetupError, TrainingFailed: as `pipeline.run_all`.
    """
    config.require_sources()
    chosen = trainer(config.tokenizer.name)
    catalogue = catalogue_of(items, config)
    profile = catalogue.profile
    check_memory(chosen, min(config.sample.size, profile.ids), profile.dim, config)
    log = read_event_log(items.sparkSession, config, catalogue.id_type)
    catalogue = replace(catalogue, events=events_of(log, catalogue.df, config, staging))
    data = split(loaded(drawn(catalogue, config, staging), profile.dim), config)
    return fit_tokenizer(data, config)
