"""What a run would do, before it does anything: `--dry-run`."""

from __future__ import annotations

from math import prod

from pyspark.sql import SparkSession

from drq_spark.config import Config
from drq_spark.inputs.event_log import EventProfile, read_event_log
from drq_spark.inputs.items import read_catalogue
from drq_spark.inputs.second_version import check_after
from drq_spark.train.driver import check_memory, memory_allowed, memory_needed
from drq_spark.train.registry import trainer


def preview(spark: SparkSession, config: Config) -> dict[str, str]:
    """What a run would do, from one pass over the items table and one over the events; writes nothing.

    Raises:
        ConfigError: training would need more memory than allowed, or needs events and there are none.
        InputRefused: the items table or the events cannot be used.
    """
    config.require_sources()
    catalogue = read_catalogue(spark, config)
    check_after(spark, config, catalogue)
    log = read_event_log(spark, config, catalogue.id_type)
    profile = catalogue.profile
    chosen = trainer(config.tokenizer.name)
    rows = min(config.sample.size, profile.ids)
    check_memory(chosen, rows, profile.dim, config)
    sizes, needed = config.tokenizer.codebook_sizes, memory_needed(chosen, rows, profile.dim, config) / 1e9
    return {
        "rows": f"{profile.rows:,}",
        "ids": f"{profile.ids:,} of type {catalogue.id_type}",
        "embedding": f"{profile.dim} numbers",
        **({"notes": "; ".join(catalogue.notes)} if catalogue.notes else {}),
        **({} if log is None else {"events": " ".join([_events(log.profile), *log.profile.words])}),
        "sample": f"{rows:,} items",
        "SIDs": f"{prod(sizes):.3g} possible, {sizes} codes a level",
        "driver memory for training": f"{needed:.2f} GB of {memory_allowed(config):.3g}",
        "steps": "sample, train, assign, measure, publish",
    }


def _events(profile: EventProfile) -> str:
    missing = {"without a user": profile.without_user, "without a position": profile.without_position}
    return ", ".join([f"{profile.rows:,}", *(f"{count:,} {what}" for what, count in missing.items() if count)])
