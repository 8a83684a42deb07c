"""How far apart the items of a shared SID lie: the embeddings of a bounded number of items are read."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.formulas.within_buckets import ChosenSids, Moments, choose_sids, mean_square_within
from drq_spark.hashing import bucket_key, item_key
from drq_spark.long_groups import first_of_groups
from drq_spark.measure.collisions.bucket_spread_worker import MOMENTS, moments_of_sids
from drq_spark.measure.subject import Subject
from drq_spark.metrics import Metric, MetricRow
from drq_spark.row_types import spark_schema

_ORDER = ("key", "sid")


@dataclass(frozen=True)
class SharedSids:
    """The shared SIDs that stand for all, and the items that stand for them.

    Attributes:
        sids: The SIDs: sid, items, key.
        chosen: How they were chosen.
        members: sid, item_id of the items whose embeddings are looked at.
    """

    sids: pa.Table
    chosen: ChosenSids
    members: DataFrame


def shared_sids(subject: Subject, per_sid: DataFrame) -> SharedSids | None:
    """About `measure.overlap_items` items of shared SIDs, chosen by hash; None where no SID is shared.

    Args:
        subject: What is measured.
        per_sid: Rows of `sid_counts`.
    """
    sids, chosen = _chosen_sids(subject, per_sid)
    return SharedSids(sids, chosen, _members(subject, sids, chosen)) if chosen.count else None


def members_of(items: DataFrame, shared: SharedSids) -> DataFrame:
    """sid, embedding of the chosen items of a table (item_id, embedding); ids are broadcast, embeddings stay."""
    return items.select("item_id", "embedding").join(F.broadcast(shared.members), "item_id").select("sid", "embedding")


def bucket_spread(
    subject: Subject, shared: SharedSids, vectors: DataFrame, mean_centred_square: float | None
) -> list[MetricRow]:
    """The row of `bucket_spread`; none where no item differs from another.

    The embeddings of the chosen items are shuffled, and a row per chosen SID reaches the driver.

    Args:
        subject: What is measured; it has items.
        shared: The chosen SIDs.
        vectors: sid, embedding of their chosen items.
        mean_centred_square: Mean of ||x - mean||^2 over all items.
    """
    if not mean_centred_square:
        return []
    assert subject.dim is not None  # as there are items
    normalize = subject.config.items.normalize if subject.tokenizer is None else subject.tokenizer.normalize
    work = moments_of_sids(subject.dim, normalize)
    found = vectors.repartition("sid").mapInArrow(work, spark_schema(MOMENTS)).toArrow()
    value, error = mean_square_within(_moments(found, shared.sids, shared.chosen))
    if not isfinite(value):
        return []
    scaled = None if error is None else error / mean_centred_square
    return [MetricRow(Metric.BUCKET_SPREAD.value, 0, "items", None, value / mean_centred_square, scaled)]


def _chosen_sids(subject: Subject, per_sid: DataFrame) -> tuple[pa.Table, ChosenSids]:
    """The chosen SIDs (sid, items, key), and which of their items stand for them."""
    most, seed = subject.config.measure.overlap_items, subject.config.seed
    shared = per_sid.where("items > 1").select("sid", "items", bucket_key(seed).alias("key"))
    lowest = shared.orderBy(*_ORDER).limit(most // 2 + 1).toArrow().sort_by([(name, "ascending") for name in _ORDER])
    chosen = choose_sids(lowest["key"].to_numpy(), lowest["items"].to_numpy(), most)
    return lowest.slice(0, chosen.count), chosen


def _moments(found: pa.Table, sids: pa.Table, chosen: ChosenSids) -> Moments:
    """The moments of the chosen SIDs, in the order of `sids` (columns sid, items)."""
    sid = sids["sid"].to_numpy()
    order = np.argsort(sid)
    place = order[np.searchsorted(sid, found["sid"].to_numpy(), sorter=order)]

    def column(name: str) -> NDArray[np.float64]:
        """A column in the order of `sids`; 0 where no embedding of a SID is usable."""
        values = np.zeros(len(sid))
        values[place] = found[name].to_numpy()
        return values

    items = sids["items"].to_numpy()
    return Moments(items, chosen.shown, column("rows"), column("square"), column("fourth"), chosen.chance)


def _members(subject: Subject, sids: pa.Table, chosen: ChosenSids) -> DataFrame:
    """sid and item_id of the items that stand for the chosen SIDs: the first ones by hash."""
    keys = F.broadcast(subject.spark.createDataFrame(sids.select(["sid"])))
    items = subject.sids.select("sid", "item_id").join(keys, "sid")
    key = item_key("member", subject.config.seed)  # some items of a crowded SID stand for all
    order = [key, F.col("item_id").cast("string")]
    return first_of_groups(items, "sid", order, int(chosen.shown.max())).drop("place")
