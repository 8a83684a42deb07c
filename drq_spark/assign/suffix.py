"""How items that share a SID are told apart: suffixes 0, 1, .., which never move while the tokenizer stays."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from drq_spark.long_groups import ROWS_A_PART, bucket_of, in_parts, long_buckets, numbered_in_parts
from drq_spark.runs import Run
from drq_spark.schemas import SIDS
from drq_spark.staging import Staging


def published_suffixes(run: Run) -> DataFrame | None:
    """item_id, sid and suffix of the run that readers follow, where it has the same tokenizer."""
    followed = run.followed
    if followed is None:
        return None
    same = run.store.read(SIDS, followed).where(F.col("tokenizer_id") == F.lit(run.state.tokenizer_id))
    return same.select("item_id", "sid", "suffix")


def long_sids(rows: DataFrame, run: Run) -> tuple[int, ...]:
    """Buckets (`long_groups.bucket_of`) of SIDs with more items than one task takes; rows have a column sid."""
    return long_buckets(rows, "sid") if run.state.rows_in > ROWS_A_PART else ()


def with_suffix(rows: DataFrame, previous: DataFrame | None, long: Sequence[int], staging: Staging) -> DataFrame:
    """Number the items that share a SID: 0, 1, .. by falling exposure, then id.

    Args:
        rows: item_id, sid, exposure and more.
        previous: item_id, sid, suffix of the published run of the same tokenizer, whose items keep their suffix;
            newcomers get the next free ones.
        long: Buckets of SIDs that are too long for one task, see `long_sids`.
        staging: Folder for the rows, where there are such SIDs.
    """
    matched = rows.withColumn("kept", F.lit(None).cast("int")) if previous is None else _with_kept(rows, previous)
    if long:
        staged = staging.keep(matched, "unnumbered")
        is_long = bucket_of("sid").isin(list(long))
        in_tasks = _by_sid(staged.where(~is_long), previous)
        numbered = in_tasks.unionByName(_by_part(staged.where(is_long), staging))
    else:
        numbered = _by_sid(matched, previous)
    return numbered.withColumn("suffix", F.col("suffix").cast("int")).drop("kept")


def _with_kept(rows: DataFrame, previous: DataFrame) -> DataFrame:
    """Rows with the suffix that an item had under the SID that it has, as `kept`; NULL for newcomers."""
    known = previous.select("item_id", F.col("sid").alias("known_sid"), F.col("suffix").alias("known_suffix"))
    kept = F.when(F.col("known_sid") == F.col("sid"), F.col("known_suffix"))
    return rows.join(known, "item_id", "left").withColumn("kept", kept).drop("known_sid", "known_suffix")


def _order() -> list[Column]:
    return [F.desc_nulls_last("exposure"), F.asc("item_id")]


def _by_sid(rows: DataFrame, previous: DataFrame | None) -> DataFrame:
    """Rows with their suffix, each SID in one task."""
    if previous is None:
        return rows.withColumn("suffix", F.row_number().over(Window.partitionBy("sid").orderBy(*_order())) - 1)
    first_free = F.coalesce(F.max("kept").over(Window.partitionBy("sid")), F.lit(-1))
    newcomers = Window.partitionBy("sid", F.col("kept").isNull()).orderBy(*_order())
    return rows.withColumn("suffix", F.coalesce(F.col("kept"), first_free + F.row_number().over(newcomers)))


def _by_part(rows: DataFrame, staging: Staging) -> DataFrame:
    """The same of long SIDs, whose newcomers are numbered part by part."""
    old, new = rows.where("kept IS NOT NULL"), rows.where("kept IS NULL")
    parts = in_parts(new, "sid", _order(), staging, "long_sids")
    last = old.groupBy("sid").agg(F.max("kept").alias("last"))
    numbered = numbered_in_parts(parts, "sid", _order(), "number").join(last, "sid", "left")
    suffix = F.coalesce("last", F.lit(-1)) + F.col("number")
    newcomers = numbered.withColumn("suffix", suffix).drop("last", "number")
    return old.withColumn("suffix", F.col("kept")).unionByName(newcomers)
