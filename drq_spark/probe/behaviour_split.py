"""Events, split into what downstream models learn from and what judges them; rows stay on the cluster.

Which users and items are drawn depends on hashes of their ids and the seed, and on how many there are. Only users that
are held out from tokenizers (`events.holdout`) judge: a tokenizer that learns from what users do has seen the last
events of all others, and its SIDs would know the answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F
from pyspark.sql import types as T

from drq_spark.errors import ConfigError, InputRefused
from drq_spark.hashing import held_out_user, item_key, tie_key, uniform, user_key
from drq_spark.inputs.event_log import position_number
from drq_spark.probe.event_parts import Part, Split
from drq_spark.rows import one_row
from drq_spark.staging import Staging

LONGEST = 10_000
"""Events of one user at most; who has more is taken for a program, not for a person."""
_EVENTS = 20_000_000  # of all drawn users together, about: what the driver holds of them is some 16 bytes each
_JUDGED = 0.1  # share of the events that each of validation and test gets, where time splits
_FEWEST = 3  # events of a user whose last ones judge
_TIMES = (T.DateType, T.TimestampType, T.TimestampNTZType)


@dataclass(frozen=True)
class Drawing:
    """How much is drawn, and how events are split.

    Attributes:
        users: Users whose events train and judge, about.
        candidates: Items that can be recommended, about; those with events come first.
        questions: Events of validation, and events of test, that a model is asked for, at most.
        split: time: of users who judge, events of the last tenth of the time are the test part, those of the tenth
            before it the validation part, and nobody's train; last: the last event of every user who judges, and the
            one before it; auto: time where `events.order` is a date or a time.
    """

    users: int = 100_000
    candidates: int = 100_000
    questions: int = 20_000
    split: Split = Split.AUTO


def split_events(
    rows: DataFrame, known: DataFrame, drawing: Drawing, seed: int, judging: float, staging: Staging
) -> DataFrame:
    """Columns user_key, place (int, from 0, in the order of the user's events), item_id, part, of drawn users.

    Events without a user or a position, and those of unknown items, are left out; at one position the order is by hash.

    Args:
        rows: user, item_id, position, see `inputs.event_log`.
        known: item_id of the items with a SID.
        drawing: How much.
        seed: Of the hashes.
        judging: Share of users who judge; all others train.
        staging: Folder for the rows.

    Raises:
        InputRefused: no user has two events of known items.
        ConfigError: the split is by time and positions are text.
    """
    kind = rows.schema["position"].dataType
    by_time = drawing.split is Split.TIME or (drawing.split is Split.AUTO and isinstance(kind, _TIMES))
    if by_time and isinstance(kind, T.StringType):
        raise ConfigError("--split time needs times or numbers, and events.order is text: cast it, or --split last")
    placed = rows.where("user IS NOT NULL AND position IS NOT NULL")
    placed = placed.join(known.select("item_id"), "item_id", "left_semi").withColumn("user_key", user_key(seed))
    drawn = staging.keep(placed.join(_drawn_users(placed, drawing, seed), "user", "left_semi"), "probe_drawn_events")
    sequence = Window.partitionBy("user")
    ordered = sequence.orderBy("position", tie_key(seed), F.col("item_id").cast("string"))
    places = drawn.withColumn("place", F.row_number().over(ordered) - 1)
    of_judges = _by_time(drawn) if by_time else _by_place(sequence)
    of_others = F.when(of_judges == Part.TRAINING.value, of_judges) if by_time else F.lit(Part.TRAINING.value)
    part = F.when(held_out_user(seed, judging), of_judges).otherwise(of_others)
    parts = places.select("user_key", "place", "item_id", part.alias("part"))
    return staging.keep(parts.where("part IS NOT NULL"), "probe_events")


def _drawn_users(placed: DataFrame, drawing: Drawing, seed: int) -> DataFrame:
    """Column user of those that are drawn."""
    counted = placed.groupBy("user").agg(F.count(F.lit(1)).alias("events"))
    usable = counted.where(F.col("events").between(2, LONGEST))
    total = one_row(usable.agg(F.count(F.lit(1)).alias("users"), F.sum("events").alias("events")))
    if not total["users"]:
        raise InputRefused(f"events table: no user has 2 to {LONGEST:,} events of items with a SID; nothing to learn")
    share = min(1.0, drawing.users / total["users"], _EVENTS / total["events"])
    return usable.where(uniform(user_key(seed)) < share).select("user")


def _by_place(sequence: WindowSpec) -> Column:
    """The part of an event by its place, counted from the end of its user's events."""
    events = F.count(F.lit(1)).over(sequence)
    behind = F.when(events >= _FEWEST, events - 1 - F.col("place"))
    return _part(is_test=behind == 0, is_validation=behind == 1)


def _by_time(drawn: DataFrame) -> Column:
    """The part of an event by its position among those of all users."""
    number = position_number(drawn).cast("double")
    limits = one_row(
        drawn.select(F.percentile(number, F.array(F.lit(1 - 2 * _JUDGED), F.lit(1 - _JUDGED))).alias("at"))
    )
    validation, test = limits["at"]
    return _part(is_test=number > test, is_validation=number > validation)


def _part(*, is_test: Column, is_validation: Column) -> Column:
    named = F.when(is_test, Part.TEST.value).when(is_validation, Part.VALIDATION.value)
    return named.otherwise(Part.TRAINING.value)


def candidate_items(sids: DataFrame, events: DataFrame, drawing: Drawing, seed: int) -> DataFrame:
    """item_id, codes, suffix of the items that can be recommended: those with events first, then others, by hash.

    Args:
        sids: Rows of `schemas.SIDS`.
        events: Rows of `split_events`.
        drawing: How many.
        seed: Of the hash.
    """
    met = events.select("item_id").distinct().withColumn("met", F.lit(True))
    rows = (
        sids.select("item_id", "codes", "suffix")
        .join(met, "item_id", "left")
        .withColumn("met", F.col("met").isNotNull())
    )
    counts = {row.met: row["count"] for row in rows.groupBy("met").count().collect()}
    with_events, others = counts.get(True, 0), counts.get(False, 0)
    room = max(0, drawing.candidates - with_events)
    share = F.when(F.col("met"), min(1.0, drawing.candidates / max(1, with_events)))
    share = share.otherwise(min(1.0, room / max(1, others)))
    return rows.where(uniform(item_key("candidate", seed)) < share).drop("met")
