"""What stands for all that goes into a run: its items, and what is beside them."""

from __future__ import annotations

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.inputs.attributes import attributes_fingerprint
from drq_spark.inputs.event_log import EventLog
from drq_spark.inputs.fingerprint import content_hash, sums
from drq_spark.inputs.items import Catalogue
from drq_spark.inputs.pinning import Inputs
from drq_spark.inputs.second_version import after_fingerprint

_AFTER = "embeddings after"
_FINGERPRINTS = (after_fingerprint, attributes_fingerprint)


def fingerprint_of(
    spark: SparkSession, config: Config, catalogue: Catalogue, log: EventLog | None, inputs: Inputs
) -> str:
    """What stands for the items and all that is beside them, as `items:events:after:attributes`.

    Raises:
        InputRefused: something beside the items cannot be used.
    """
    beside = fingerprint_beside(spark, config, catalogue.id_type, log)
    return f"{items_fingerprint(config, catalogue, inputs)}:{beside}"


def items_fingerprint(config: Config, catalogue: Catalogue, inputs: Inputs) -> str:
    """What stands for the items by `items.identity`: their version, or their content where that is asked for.

    A source of which no version can be told, such as a view, is known by its content.
    """
    version = None if config.items.identity == "content" else inputs.items_version
    return version or content_fingerprint(catalogue)


def content_fingerprint(catalogue: Catalogue) -> str:
    """16 hex digits of the items and the rows set aside, whatever their order, files and partitions.

    It reads every embedding once, in Java.
    """
    items = catalogue.df.agg(*sums(F.xxhash64("item_id", "embedding_hash", "exposure"))).collect()
    aside = catalogue.quarantined.agg(*sums(F.xxhash64("item_id", "reason"))).collect()
    return content_hash(items, f"{catalogue.df.schema.simpleString()}:{content_hash(aside)}")


def differing(fingerprint: str, before: str) -> list[str]:
    """What differs between two fingerprints of one run, in words; a second version of the embeddings may be another."""
    parts = zip(("items", "events", _AFTER, "attributes"), fingerprint.split(":"), before.split(":"), strict=True)
    return [name for name, now, then in parts if now != then and name != _AFTER]


def fingerprint_beside(spark: SparkSession, config: Config, id_type: str, log: EventLog | None) -> str:
    """What stands for all that is beside the items, as `events:after:attributes`; `-` for what is not named.

    Raises:
        InputRefused: one of them cannot be used.
    """
    events = None if log is None else log.profile.fingerprint
    parts = (events, *(fingerprint(spark, config, id_type) for fingerprint in _FINGERPRINTS))
    return ":".join(part or "-" for part in parts)
