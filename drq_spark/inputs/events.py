"""The events of a run, for all its steps: who did what with which item, in which order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.inputs.consecutive import with_following
from drq_spark.inputs.event_account import EventAccount, account_of
from drq_spark.inputs.event_log import EventLog
from drq_spark.local.compiled_queries import compiled_queries
from drq_spark.staging import Staging


@dataclass(frozen=True)
class Events:
    """The events of a run, for all its steps: the table is read once, and what comes of it is kept in staging.

    Attributes:
        log: The events as they are.
        known: Column item_id, each once: the items that there are.
        config: Settings of the run.
        staging: Staging folder of the run, which the steps of one process share.
    """

    log: EventLog
    known: DataFrame
    config: Config
    staging: Staging

    def exposure(self) -> DataFrame:
        """How many events every known item has: item_id, exposure (double)."""
        counted = self._followed().groupBy("item_id").agg(F.count(F.lit(1)).alias("exposure"))
        return counted.withColumn("exposure", F.col("exposure").cast("double"))

    def pairs(self) -> DataFrame:
        """All pairs of consecutive known items: item_id, next_item_id, pair_key, user_key, held_out."""
        pairs = self._followed().where("next_item_id IS NOT NULL")
        return pairs.select("item_id", "next_item_id", "pair_key", "user_key", "held_out")

    @cached_property
    def account(self) -> EventAccount:
        """What has become of every row."""
        followed = self._followed()
        with compiled_queries(followed.sparkSession):
            return account_of(followed, self.log, self.known, self.config)

    def _followed(self) -> DataFrame:
        if "events" in self.staging.kept_once:  # with_following keeps the events of long users while it is called
            return self.staging.read(self.known.sparkSession, "events")
        with compiled_queries(self.known.sparkSession):
            followed = with_following(self._with_known(), self.config, self.log.profile.long_users, self.staging)
            return self.staging.keep_once(followed, "events")

    def _with_known(self) -> DataFrame:
        """The events with `known`; those of unknown items are among them only where they part their neighbours."""
        ids = self.known.select("item_id")
        if self.config.events.unknown == "bridge":
            return self.log.rows.join(ids, "item_id", "left_semi").withColumn("known", F.lit(True))
        marked = self.log.rows.join(ids.withColumn("known", F.lit(True)), "item_id", "left")
        return marked.withColumn("known", F.coalesce("known", F.lit(False)))


def events_of(log: EventLog | None, known: DataFrame, config: Config, staging: Staging) -> Events | None:
    """The events of a run; None where the config names none."""
    return None if log is None else Events(log, known, config, staging)


def exposed(rows: DataFrame, events: Events | None, config: Config) -> DataFrame:
    """Rows with the number of their events as exposure, where the items table has no exposure column."""
    return rows if events is None or config.items.exposure is not None else with_exposure(rows, events)


def with_exposure(rows: DataFrame, events: Events) -> DataFrame:
    """Rows (item_id and more) with the number of the item's events as exposure (double), 0 where it has none."""
    counted = rows.drop("exposure").join(events.exposure(), "item_id", "left")
    return counted.withColumn("exposure", F.coalesce("exposure", F.lit(0.0)))
