"""What is judged: items, and pairs of consecutive items, chosen by hash, with their vectors and SIDs.

Everything here is of a size that the settings bound; it lies on the driver.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.arrays import F32, I64
from drq_spark.chunks import chunks, embedding_matrix
from drq_spark.hashing import item_key
from drq_spark.inputs.consecutive import between
from drq_spark.inputs.embeddings import checked_rows
from drq_spark.measure.subject import Subject
from drq_spark.tokenizer.model import Normalize, normalized

logger = logging.getLogger(__name__)

_VECTOR_BYTES = 10**9  # float32 vectors of all items of the pairs and their partners
_ITEMS_A_PAIR = 3  # its two items and a partner


@dataclass(frozen=True)
class Judged:
    """Items and pairs, chosen by hash: the same ones for every tokenizer and under any layout.

    Attributes:
        ids: [m], all items in question.
        sid: int64 [m], their SIDs.
        x: float32 [m, D], their prepared embeddings; None without items.
        items: int64 [n], rows of items chosen uniformly, in the order of their keys.
        pairs: int64 [p, 2], rows of item and next item, in the order of the pairs' keys.
        users: int64 [p], a key of each pair's user.
        all_pairs: How many pairs of items with a SID there are to choose from.
    """

    ids: pa.Array
    sid: I64
    x: F32 | None
    items: I64
    pairs: I64
    users: I64
    all_pairs: int


@dataclass(frozen=True)
class Chosen:
    """Items and pairs by id, before their embeddings are read.

    Attributes:
        items: Ids of the items chosen uniformly, in the order of their keys.
        pairs: item_id, next_item_id, user_key of the pairs, in the order of their keys.
        all_pairs: See `Judged`.
    """

    items: pa.Array
    pairs: pa.Table
    all_pairs: int

    @property
    def ends(self) -> list[pa.Array]:
        """The items of the pairs, and those that came next."""
        return [self.pairs.column(name).combine_chunks() for name in ("item_id", "next_item_id")]

    def ids(self, subject: Subject) -> DataFrame:
        """item_id of all items in question, each once."""
        every = pa.concat_arrays([self.items, *self.ends]).unique()
        return subject.spark.createDataFrame(pa.table({"item_id": every}))


def normalization(subject: Subject) -> Normalize:
    """What is done to embeddings first."""
    return subject.config.items.normalize if subject.tokenizer is None else subject.tokenizer.normalize


def choose(subject: Subject) -> Chosen:
    """Choose items and pairs.

    A pair is two events of one user that follow one another, see `inputs.consecutive`, of two items with a SID. Where
    users are held out (`events.holdout`) only their pairs are chosen, so that a tokenizer is judged on users that it
    did not see; what another system made, the pairs of all users judge. Items without a SID are never chosen; where
    there are embeddings, items without a usable one are not chosen either.
    """
    pairs, all_pairs = _pairs(subject, subject.pairs)
    return Chosen(_items(subject, max(subject.config.measure.neighbour_queries, len(pairs))), pairs, all_pairs)


def judged_of(subject: Subject, chosen: Chosen) -> Judged:
    """What was chosen, with SIDs and vectors."""
    items, ends = chosen.items, chosen.ends
    located = located_sids(subject, pa.concat_arrays([items, *ends]))
    ids, x = located.column("item_id").combine_chunks(), None
    if subject.items is not None:
        ids, x = _vectors(subject, ids)
        located = located.take(pc.index_in(ids, value_set=located.column("item_id").combine_chunks()))
    rows = np.stack([_rows(end, ids) for end in ends], axis=1)
    known = (rows >= 0).all(axis=1)
    of_items = _rows(items, ids)
    return Judged(
        ids=ids,
        sid=located.column("sid").to_numpy(),
        x=x,
        items=of_items[of_items >= 0],
        pairs=rows[known],
        users=chosen.pairs.column("user_key").to_numpy()[known],
        all_pairs=chosen.all_pairs,
    )


def located_sids(subject: Subject, ids: pa.Array) -> pa.Table:
    """item_id and sid of these items, each once."""
    wanted = subject.spark.createDataFrame(pa.table({"item_id": ids.unique()}))
    found = subject.sids.select("item_id", "sid").join(F.broadcast(wanted), "item_id", "left_semi")
    return found.toArrow()


def _rows(ids: pa.Array, among: pa.Array) -> I64:
    """Row of each id, -1 where it is not there."""
    return np.asarray(pc.index_in(ids, value_set=among).fill_null(-1).to_numpy(), np.int64)


def _pairs(subject: Subject, every: DataFrame | None) -> tuple[pa.Table, int]:
    """The pairs (item_id, next_item_id, user_key) with the lowest keys, in their order; and how many there are."""
    if every is None:
        columns = ("item_id", F.col("item_id").alias("next_item_id"), F.lit(0).cast("bigint").alias("user_key"))
        return subject.sids.select(*columns).limit(0).toArrow(), 0
    pairs = between(every, subject.sids)
    if subject.config.holds_users_out:
        pairs = pairs.where("held_out")
    staged = subject.staging.keep(pairs.drop("held_out"), "judged_pairs")
    order = ["pair_key", "item_id", "next_item_id"]
    lowest = staged.orderBy(*order).limit(_most_pairs(subject)).toArrow()
    return lowest.sort_by([(name, "ascending") for name in order]), staged.count()


def _most_pairs(subject: Subject) -> int:
    """How many pairs the settings want, or there is memory for."""
    settings = subject.config.measure
    wanted = max(settings.ranked_pairs, settings.scored_pairs)
    if subject.items is None or subject.dim is None:
        return wanted
    possible = max(1, _VECTOR_BYTES // (4 * subject.dim * _ITEMS_A_PAIR))
    if possible < wanted:
        logger.warning("behaviour is judged on %d pairs, not %d: more vectors take over 1 GB", possible, wanted)
    return min(wanted, possible)


def _items(subject: Subject, most: int) -> pa.Array:
    """Ids of the items with the lowest keys, in their order."""
    keyed = subject.sids.select("item_id", item_key("query", subject.config.seed).alias("key"))
    lowest = keyed.orderBy("key", "item_id").limit(most).toArrow()
    return lowest.sort_by([("key", "ascending"), ("item_id", "ascending")]).column("item_id").combine_chunks()


def _vectors(subject: Subject, ids: pa.Array) -> tuple[pa.Array, F32]:
    """The ids of the items that have a usable embedding, and their prepared embeddings, float32 [m, D]."""
    assert subject.drawn_from is not None
    assert subject.dim is not None
    dim, normalize = subject.dim, normalization(subject)
    staged = _staged_vectors(subject, subject.drawn_from, ids)
    rows = staged.count()
    x, found, filled = np.empty((rows, dim), np.float32), [ids[:0]], 0
    for chunk in chunks(staged, "key", rows * dim * 4):
        x[filled : filled + len(chunk)] = normalized(embedding_matrix(chunk, dim), normalize)
        found.append(chunk.column("item_id").combine_chunks())
        filled += len(chunk)
    pa.default_memory_pool().release_unused()
    return pa.concat_arrays(found), x


def _staged_vectors(subject: Subject, items: DataFrame, ids: pa.Array) -> DataFrame:
    """item_id, key, embedding (array<float>) of the usable ones among some items."""
    assert subject.dim is not None
    wanted = subject.spark.createDataFrame(pa.table({"item_id": ids}))
    rows = items.select("item_id", item_key("query", subject.config.seed).alias("key"), "embedding")
    picked = rows.join(F.broadcast(wanted), "item_id", "left_semi")
    schema = f"item_id {subject.id_type}, key bigint, reason string, embedding array<float>"
    check = checked_rows(subject.dim, normalization(subject))
    return subject.staging.keep(picked.mapInArrow(check, schema).where("reason IS NULL"), "judged_items")
