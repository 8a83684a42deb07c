"""Items that follow one another in what a user does: the pairs that behaviour is learned from and judged by."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.hashing import held_out_user, pair_key, tie_key, user_key
from drq_spark.long_groups import bucket_of, in_parts
from drq_spark.staging import Staging

_ORDER = ("position", "tie", "text")
_ROW = "row"  # tells rows apart that are equal in everything


def with_following(events: DataFrame, config: Config, long_users: Sequence[int], staging: Staging) -> DataFrame:
    """Every event of a known item, with what follows it.

    Columns item_id; next_item_id, the item of a pair's second event, else NULL; placed, whether the event has a user
    and a position and so is part of a sequence; followed, whether an event of the same user follows; tied, whether
    another item does so at the same position; repeated, whether the same item follows; pair_key, user_key, held_out.

    Events at one position are in the order of a hash of user, position and item: a uniform sample of all orders, which
    knows nothing of ids. An event of an unknown item has no row here; where there are any among `events`, each stands
    between its neighbours, and they are no pair.

    Args:
        events: user, item_id, position, known (whether the catalogue has the item).
        config: Settings of the run.
        long_users: Buckets of the users (`long_groups.bucket_of`) with more events than one task takes.
        staging: Folder for the events of those users.
    """
    loose = F.col("user").isNull() | F.col("position").isNull()
    named = events.withColumns({"loose": loose, "tie": tie_key(config.seed), "text": F.col("item_id").cast("string")})
    if not long_users:
        return _described(_by_user(named), config)
    rows = staging.keep(named.withColumn(_ROW, F.monotonically_increasing_id()), "event_rows")
    is_long = ~F.col("loose") & bucket_of("user").isin(list(long_users))
    order = [F.col(name) for name in (*_ORDER, _ROW)]
    parts = in_parts(rows.where(is_long), "user", order, staging, "long_users")
    both = _by_user(rows.where(~is_long).drop(_ROW)).unionByName(_by_part(parts, order))
    return _described(both, config)


def _event() -> Column:
    return F.struct("item_id", "position", "known")


def _by_user(rows: DataFrame) -> DataFrame:
    """Events with the next one of their user as `next` (struct)."""
    # events that follow nothing need not come together: there may be too many of them for one task
    apart = rows.withColumn("apart", F.when(F.col("loose"), F.spark_partition_id()))
    sequence = Window.partitionBy("user", "apart").orderBy(*_ORDER)
    return apart.withColumn("next", F.lead(_event()).over(sequence)).drop("apart")


def _by_part(parts: DataFrame, order: Sequence[Column]) -> DataFrame:
    """The same of users whose events are dealt into parts: what follows the last of a part is the first of the next."""
    firsts = parts.groupBy("user", "part").agg(F.min_by(_event(), F.struct(*order)).alias("first"))
    beyond = F.lead("first").over(Window.partitionBy("user").orderBy("part")).alias("beyond")
    joined = parts.join(firsts.select("user", "part", beyond), ["user", "part"])
    inside = F.lead(_event()).over(Window.partitionBy("user", "part").orderBy(*order))
    return joined.withColumn("next", F.coalesce(inside, "beyond")).drop("beyond", "part", _ROW)


def _described(rows: DataFrame, config: Config) -> DataFrame:
    """The columns of `with_following`, of rows with `next`."""
    following = F.col("next")
    followed = ~F.col("loose") & following.isNotNull()
    repeated = followed & F.coalesce(following["item_id"] == F.col("item_id"), F.lit(False))
    tied = followed & ~repeated & (following["position"] == F.col("position"))
    pair = followed & following["known"] & ~repeated & ~(tied & F.lit(config.events.ties == "part"))
    steps = {"placed": ~F.col("loose"), "followed": followed, "tied": tied, "repeated": repeated}
    described = rows.where("known").withColumns({**steps, "next_item_id": F.when(pair, following["item_id"])})
    return described.select(
        "item_id",
        "next_item_id",
        *steps,
        pair_key(config.seed).alias("pair_key"),
        user_key(config.seed).alias("user_key"),
        held_out_user(config.seed, config.events.holdout).alias("held_out"),
    )


def between(pairs: DataFrame, items: DataFrame) -> DataFrame:
    """The pairs (item_id, next_item_id and more) with both ends among the items (item_id and more)."""
    ids = items.select("item_id")
    one_end = pairs.join(ids, "item_id", "left_semi")
    return one_end.join(ids.withColumnRenamed("item_id", "next_item_id"), "next_item_id", "left_semi")
