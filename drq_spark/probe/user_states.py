"""States of users in a table, moved on night by night by new events, and read when items are to be scored.

A night joins the new events of each user with the user's state, moves the state on executors, and puts what has moved
into `user_states` in one commit. No history is read, and users without new events are not touched. Events of one user
move the state in the order of their positions, at one position by hash; so the bits are those of the whole history in
one go, however it is cut into nights and partitions.

Events at or before the last one of their user cannot move a state any more. Those of the night before once more are
known by their hash and change nothing; all others came late, and are left out and counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from drq_spark.errors import ConfigError, InputRefused
from drq_spark.inputs.event_log import position_number
from drq_spark.lease import Lease
from drq_spark.probe.frozen_ranker import FrozenRanker
from drq_spark.probe.user_states_worker import MovedStates, StateScores
from drq_spark.rows import one_row
from drq_spark.schemas import CURRENT_SIDS, PUBLISHED, USER_STATES
from drq_spark.ship import ship
from drq_spark.staging import Staging
from drq_spark.store import Store

_KEPT_AS = "user_states"
_NOTHING = "{out} has no published SIDs, by which events move states: run drq run there first"


@dataclass(frozen=True)
class NightOfStates:
    """What a night has done.

    Attributes:
        users: Users whose state has moved.
        events: New events, which moved them.
        repeated: Events of the last night of their user, given once more.
        late: Other events at or before the last one of their user; no state knows of them.
        unknown: Events of items without a SID; no state knows of them, either.
    """

    users: int
    events: int
    repeated: int
    late: int
    unknown: int

    def lines(self) -> list[str]:
        """What people are told."""
        told = [f"{self.events:,} new events moved the states of {self.users:,} users"]
        left_out = {
            "were given the night before, too": self.repeated,
            "came late, after a later event of their user, and moved none": self.late,
            "of items without a SID moved none": self.unknown,
        }
        return told + [f"{count:,} {words}" for words, count in left_out.items() if count]


def advance(store: Store, ranker: FrozenRanker, events: DataFrame, lease: Lease) -> NightOfStates:
    """Move the states of a ranker by new events, in one commit; the same events once more change nothing.

    Args:
        store: Where the states and the SIDs that readers follow lie.
        ranker: What moves states, see `frozen_ranker`.
        events: user, item_id, position, see `inputs.event_log`; those of one night, or of a whole history.
        lease: Of the store; is taken here and given back.

    Raises:
        ConfigError: no SIDs are published, or those of another tokenizer.
        InputRefused: positions are text.
        Busy: another run writes into the store.
    """
    sids = published_sids(store, ranker)
    if isinstance(events.schema["position"].dataType, T.StringType):
        raise InputRefused(
            "events table: events.order is text, and which event is new is told by a time or a number: cast it"
        )
    lease.take()
    try:
        with lease.kept():
            asked = _asked(events.join(sids, "item_id", "left"), states_of_ranker(store, ranker))
            work = MovedStates(ship(store.spark, ranker.memory), ranker.levels)
            schema = T.StructType([field for field in asked.schema if field.name != "codes"])
            moved = Staging(store.staging(lease.owner)).keep(asked.mapInArrow(work, schema), _KEPT_AS)
            night = _told(moved)
            if night.users:
                lease.confirm()
                _put(store, ranker, moved.where("night_events > 0"))
            return night
    finally:
        store.clear_staging(lease.owner)


def score(store: Store, ranker: FrozenRanker, shown: DataFrame) -> DataFrame:
    """How likely users take items that are shown to them: by their states, whatever their histories.

    Args:
        store, ranker: As for `advance`.
        shown: user (text), item_id, and any other columns; items without a SID are left out.

    Returns:
        The rows with score (float), higher is likelier; a user without a state is one without events.
    """
    states = states_of_ranker(store, ranker).select("user", "state")
    rows = shown.join(published_sids(store, ranker), "item_id").join(states, "user", "left")
    work = StateScores(ship(store.spark, ranker.memory), ranker.levels)
    kept = [field for field in rows.schema if field.name not in ("state", "codes")]
    return rows.mapInArrow(work, T.StructType([*kept, T.StructField("score", T.FloatType())]))


def states_of_ranker(store: Store, ranker: FrozenRanker) -> DataFrame:
    """The rows of `user_states` that a ranker has made; none before its first night."""
    if not store.exists(USER_STATES):
        return store.spark.createDataFrame([], USER_STATES.ddl("string"))
    return store.read(USER_STATES).where(F.col("ranker_id") == ranker.ranker_id)


def id_type_of(store: Store) -> str:
    """Spark SQL type of the ids of the items that have SIDs.

    Raises:
        ConfigError: readers follow none.
    """
    if not store.exists(CURRENT_SIDS):
        raise ConfigError(_NOTHING.format(out=store.out))
    return store.read(CURRENT_SIDS).schema["item_id"].dataType.simpleString()


def published_sids(store: Store, ranker: FrozenRanker) -> DataFrame:
    """Columns item_id, codes of the items that have SIDs of the ranker's tokenizer.

    Raises:
        ConfigError: readers follow no SIDs, or those of another tokenizer.
    """
    pointer = store.read(PUBLISHED).first() if store.exists(PUBLISHED) else None
    if pointer is None:
        raise ConfigError(_NOTHING.format(out=store.out))
    if pointer.tokenizer_id != ranker.tokenizer_id:
        raise ConfigError(
            f"ranker {ranker.ranker_id} knows items by SIDs of tokenizer {ranker.tokenizer_id}, and readers follow "
            f"{pointer.tokenizer_id}: train a ranker on these with drq probe, and give it the whole history"
        )
    return store.read(CURRENT_SIDS).select("item_id", "codes")


def _asked(events: DataFrame, states: DataFrame) -> DataFrame:
    """Every user with events: the state and codes (array<array<int>>) of what moves it, and columns of `user_states`.

    Also repeated, late, unknown (bigint), see `NightOfStates`.
    """
    usable = events.where("user IS NOT NULL AND position IS NOT NULL")
    event = F.struct(
        position_number(events).alias("at"),
        F.xxhash64(F.col("item_id").cast("string")).alias("item"),
        "codes",
    )
    given = usable.groupBy(F.col("user").cast("string").alias("user")).agg(
        F.array_sort(F.collect_list(F.when(F.col("codes").isNotNull(), event))).alias("given"),
        F.count_if(F.col("codes").isNull()).alias("unknown"),
    )
    old = F.coalesce(F.filter("given", lambda one: one["at"] <= F.col("last_position")), F.array())
    rows = given.join(states.drop("ranker_id"), "user", "left").withColumn("old", old)
    rows = rows.withColumn("new", F.slice("given", F.size("old") + 1, F.size("given")))
    again = F.coalesce((F.size("old") == F.col("night_events")) & (_hash("old") == F.col("night_hash")), F.lit(False))
    new_events = F.size("new").cast("bigint")
    return rows.select(
        "user",
        "state",
        (F.coalesce("events", F.lit(0)) + new_events).alias("events"),
        F.try_element_at("new", F.lit(-1))["at"].alias("last_position"),
        new_events.alias("night_events"),
        _hash("new").alias("night_hash"),
        F.transform("new", lambda one: one["codes"]).alias("codes"),
        F.when(again, F.size("old")).otherwise(0).cast("bigint").alias("repeated"),
        F.when(again, 0).otherwise(F.size("old")).cast("bigint").alias("late"),
        "unknown",
    )


def _hash(events: str) -> Column:
    """Hash (bigint) of positions and items in order; SIDs, which may move, are not in it."""
    return F.xxhash64(F.transform(events, lambda one: F.struct(one["at"], one["item"])))


def _told(moved: DataFrame) -> NightOfStates:
    sums = [F.coalesce(F.sum(name), F.lit(0)) for name in ("night_events", "repeated", "late", "unknown")]
    return NightOfStates(*one_row(moved.agg(F.count_if(F.col("night_events") > 0), *sums)))


def _put(store: Store, ranker: FrozenRanker, moved: DataFrame) -> None:
    rows = moved.withColumn("ranker_id", F.lit(ranker.ranker_id))
    if store.exists(USER_STATES):
        store.merge(USER_STATES, rows, "false", ranker.ranker_id)
    else:
        store.put(USER_STATES, rows, ranker.ranker_id)
