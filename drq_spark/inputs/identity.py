"""What stands for all that goes into a run: its items, and what is beside them."""

from __future__ import annotations

from pyspark.sql import SparkSession

from drq_spark.config import Config
from drq_spark.inputs.attributes import attributes_fingerprint
from drq_spark.inputs.event_log import EventLog
from drq_spark.inputs.items import Catalogue
from drq_spark.inputs.second_version import after_fingerprint

_AFTER = "embeddings after"
_FINGERPRINTS = (after_fingerprint, attributes_fingerprint)


def fingerprint_of(spark: SparkSession, config: Config, catalogue: Catalogue, log: EventLog | None) -> str:
    """What stands for the items and all that is beside them, as `items:events:after:attributes`.

    Raises:
        InputRefused: something beside the items cannot be used.
    """
    return f"{catalogue.profile.fingerprint}:{fingerprint_beside(spark, config, catalogue.id_type, log)}"


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
