"""Items behind the same SID: how many there are, and whether their embeddings differ."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from drq_spark.measure.aggregates import BucketSums, Mass, SegmentSums, Thresholds
from drq_spark.measure.subject import Subject
from drq_spark.measure.usage.code_usage import use
from drq_spark.measure.usage.segments import HEAD, SEGMENTS, TORSO, segment_of
from drq_spark.rows import one_row

_OF_SEGMENTS = ("all", "shared", "harmful")


def sid_counts(sids: DataFrame, thresholds: Thresholds | None) -> DataFrame:
    """What is behind every SID: sid, items, exposure, distinct_embeddings, head_items, torso_items.

    Embeddings are told apart by their 64-bit hashes; distinct_embeddings is NULL where the hash of an item is. It takes
    one pass over the sids table: items by (sid, hash), then by sid, so that a crowded SID is counted in many tasks.
    """
    segment, hashed = segment_of(thresholds), F.col("embedding_hash")
    return sids.groupBy("sid").agg(
        *use(),
        F.when(F.count(hashed) == F.count(F.lit(1)), F.count_distinct(hashed)).alias("distinct_embeddings"),
        F.count_if(segment == HEAD).alias("head_items"),
        F.count_if(segment == TORSO).alias("torso_items"),
    )


def bucket_sums(subject: Subject, per_sid: DataFrame) -> BucketSums:
    """Sums over the SIDs, from the rows of `sid_counts`."""
    row = _summed(per_sid)
    return BucketSums(
        sids=row.sids,
        all=_mass(row, "all"),
        largest=row.largest,
        sum_squares=int(row.sum_squares),
        exposure_squares=row.exposure_squares,
        shared=_mass(row, "shared"),
        harmful=_mass(row, "harmful") if row.known else None,
        duplicates=_mass(row, "duplicates") if row.known else None,
        distinct_embeddings=_distinct_embeddings(subject, row.pairs) if row.known else None,
        segments={part: _segment(row, part) for part in SEGMENTS},
    )


def _summed(per_sid: DataFrame) -> Row:
    """All sums over the SIDs in one row; `known` says whether all embeddings are."""
    n, m, e = F.col("items"), F.col("distinct_embeddings"), F.col("exposure")
    whole = n.cast("decimal(18,0)")  # the square of a count may be beyond a bigint
    members = {"head": F.col("head_items"), "torso": F.col("torso_items")}
    members["tail"] = n - members["head"] - members["torso"]
    shared = n > 1
    groups = {"all": F.lit(True), "shared": shared, "harmful": shared & (m > 1), "duplicates": shared & (m == 1)}
    sums = per_sid.agg(
        F.count(F.lit(1)).alias("sids"),
        F.max(n).alias("largest"),
        F.sum(whole * whole).alias("sum_squares"),
        F.sum(e * e).alias("exposure_squares"),
        F.min(m.isNotNull()).alias("known"),
        F.sum(m).alias("pairs"),
        *[_within(group, e).alias(f"{name}_exposure") for name, group in groups.items()],
        *[_within(group, n).alias(f"{name}_items") for name, group in groups.items()],
        *[_within(groups[name], members[part]).alias(f"{part}_{name}") for name in _OF_SEGMENTS for part in SEGMENTS],
    )
    return one_row(sums)


def _within(group: Column, value: Column) -> Column:
    """Sum of a value over the SIDs of a group, 0 for an empty group; NULL where every value is."""
    return F.sum(F.when(group, value).otherwise(value * 0))


def _mass(row: Row, name: str) -> Mass:
    return Mass(row[f"{name}_items"], row[f"{name}_exposure"])


def _segment(row: Row, part: str) -> SegmentSums:
    all_items, shared, harmful = (row[f"{part}_{name}"] for name in _OF_SEGMENTS)
    return SegmentSums(all_items, shared, harmful if row.known else None)


def _distinct_embeddings(subject: Subject, pairs: int) -> int:
    """Different embeddings among all items; `pairs` counts those of each SID.

    One tokenizer gives equal embeddings equal SIDs, so no embedding is counted with two of them. Items that were moved
    apart, and external SIDs, promise nothing of the kind: there embeddings are counted.
    """
    if subject.encodes and subject.config.collisions.policy != "spread":
        return pairs
    return subject.sids.select("embedding_hash").distinct().count()
