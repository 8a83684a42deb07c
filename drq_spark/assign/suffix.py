"""How items that share a SID are told apart: suffixes 0, 1, .., which never move while the tokenizer stays."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from drq_spark.long_groups import ROWS_A_PART, bucket_of, in_parts, long_buckets, numbered_in_parts
from drq_spark.run_state import recent_nights
from drq_spark.runs import Run
from drq_spark.schemas import SID_CHANGES
from drq_spark.sids_of_run import FEW_IDS, readers_of
from drq_spark.staging import Staging


def places_of_readers(run: Run) -> DataFrame | None:
    """The places that are taken or held under the run's tokenizer, or the one that a retraining began at.

    Columns item_id, sid, suffix, embedding_hash, held (0 or 1).

    Taken are those of the items that readers find now. Held are those that items have left, by moving or by leaving the
    catalogue, in the last `nightly.hold_places` nights: nobody else gets them, so that who comes back finds its own.
    None where readers follow no run of the same tokenizer.
    """
    store, before = run.store, run.state.base_run_id or run.followed
    if before is None:
        return None
    placed_under = run.placed_under
    now = readers_of(store, before) if run.base is None else run.base
    now = now.where(F.col("tokenizer_id") == F.lit(placed_under))
    taken = now.select("item_id", "sid", "suffix", "embedding_hash", F.lit(0).alias("held"))
    nights = recent_nights(store, str(placed_under), before, run.config.nightly.hold_places)
    unknown = F.lit(None).cast("bigint")  # of which embedding a place was does not matter once it is left
    for channel, ids in nights.items():
        there = store.in_channel(channel)
        if ids and there.exists(SID_CHANGES):
            same = F.coalesce("old_tokenizer_id", F.lit(placed_under)) == placed_under
            left = there.read(SID_CHANGES).where(F.col("run_id").isin(ids) & F.col("old_sid").isNotNull() & same)
            taken = taken.union(left.select("item_id", F.col("old_sid"), F.col("old_suffix"), unknown, F.lit(1)))
    return taken


def of_same_sids(places: DataFrame, rows: DataFrame, items: int) -> DataFrame:
    """The places under the SIDs of some rows: a night numbers few items, and all others need not be shuffled for that.

    Args:
        places: See `places_of_readers`.
        rows: sid and more.
        items: How many rows there are.
    """
    if items > FEW_IDS:
        return places
    return places.join(F.broadcast(rows.select("sid").distinct()), "sid", "left_semi")


def long_sids(rows: DataFrame, run: Run) -> tuple[int, ...]:
    """Buckets (`long_groups.bucket_of`) of SIDs with more items than one task takes; rows have a column sid."""
    return long_buckets(rows, "sid") if run.state.rows_in > ROWS_A_PART else ()


def with_suffix(
    rows: DataFrame, places: DataFrame | None, long: Sequence[int], numbering: str, staging: Staging
) -> DataFrame:
    """Number the items that share a SID by falling exposure, then id.

    Args:
        rows: item_id, sid, exposure and more.
        places: item_id, sid, suffix, held: an item of `rows` that has a place under its SID keeps it, one that is
            taken before one that is held; all others get the next numbers above every place of their SID.
        long: Buckets of SIDs that are too long for one task, see `long_sids`.
        numbering: "rank0": a SID that had no place yet numbers from 0; "unique0": from 1 where it gets several at once.
        staging: Folder for the rows, where there are such SIDs.
    """
    matched = _with_places(rows, places)
    if numbering == "unique0":
        several = F.count(F.lit(1)).over(Window.partitionBy("sid")) > 1
        matched = matched.withColumn("last", F.when((F.col("last") < 0) & several, 0).otherwise(F.col("last")))
    if long:
        staged = staging.keep(matched, "unnumbered")
        is_long = bucket_of("sid").isin(list(long))
        in_tasks = _by_sid(staged.where(~is_long))
        numbered = in_tasks.unionByName(_by_part(staged.where(is_long), staging))
    else:
        numbered = _by_sid(matched)
    return numbered.withColumn("suffix", F.col("suffix").cast("int")).drop("kept", "last")


def _with_places(rows: DataFrame, places: DataFrame | None) -> DataFrame:
    """Rows with the suffix that is theirs already (`kept`, NULL for none) and the highest one of their SID (`last`)."""
    if places is None:
        return rows.withColumns({"kept": F.lit(None).cast("int"), "last": F.lit(-1)})
    own = places.groupBy("item_id", "sid").agg(F.min(F.struct("held", "suffix")).getField("suffix").alias("kept"))
    highest = places.groupBy("sid").agg(F.max("suffix").alias("last"))
    matched = rows.join(own, ["item_id", "sid"], "left").join(highest, "sid", "left")
    return matched.withColumn("last", F.coalesce("last", F.lit(-1)))


def _order() -> list[Column]:
    return [F.desc_nulls_last("exposure"), F.asc("item_id")]


def _by_sid(rows: DataFrame) -> DataFrame:
    """Rows with their suffix, each SID in one task."""
    newcomers = Window.partitionBy("sid", F.col("kept").isNull()).orderBy(*_order())
    return rows.withColumn("suffix", F.coalesce(F.col("kept"), F.col("last") + F.row_number().over(newcomers)))


def _by_part(rows: DataFrame, staging: Staging) -> DataFrame:
    """The same of long SIDs, whose newcomers are numbered part by part."""
    old, new = rows.where("kept IS NOT NULL"), rows.where("kept IS NULL")
    parts = in_parts(new, "sid", _order(), staging, "long_sids")
    numbered = numbered_in_parts(parts, "sid", _order(), "number")
    newcomers = numbered.withColumn("suffix", F.col("last") + F.col("number")).drop("number")
    return old.withColumn("suffix", F.col("kept")).unionByName(newcomers)
