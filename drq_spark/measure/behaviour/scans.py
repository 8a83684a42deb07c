"""The two passes that answer all questions: over the embeddings, and over the distinct SIDs.

x_hat is a function of the SID alone, so its candidates are the distinct SIDs with their numbers of items: embeddings
and codes never meet, and no embedding is shuffled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from drq_spark.arrays import F64
from drq_spark.formulas.ranking import ties_without_self, without_self
from drq_spark.hashing import item_key
from drq_spark.measure.behaviour.judged import normalization
from drq_spark.measure.behaviour.scans_worker import (
    SUMS,
    Questions,
    item_scanner,
    items_schema,
    merger,
    scanned_schema,
    sid_scanner,
    sids_schema,
)
from drq_spark.measure.subject import Subject
from drq_spark.row_types import arrow_type, spark_schema
from drq_spark.ship import ship
from drq_spark.tokenizer import Tokenizer

_MOST_TASKS = 1000  # each leaves the best of every query: a few megabytes
_SIDS_A_TASK = 100_000  # some seconds of work; every task leaves the best of each query


@dataclass(frozen=True)
class ItemAnswers:
    """The answers by the embeddings x.

    Attributes:
        items: Rows with a usable embedding.
        total: float64 [D], sum of their prepared embeddings.
        better: float64 [P], items with a higher cosine to the query of the pair than its target.
        ties: float64 [P], items with the same one, target included and query left out.
        nearest: Per query the ids of the 201 best items, the best first, itself among them where it is one of them.
        vectors: sid, embedding (array<float>) of the items whose embeddings were wanted; None where none were.
    """

    items: int
    total: F64
    better: F64
    ties: F64
    nearest: Sequence[pa.Array]
    vectors: DataFrame | None = None


@dataclass(frozen=True)
class SidAnswers:
    """The answers by the reconstructions x_hat.

    Attributes:
        usage: Items float64 [K] of every code, per level.
        better, ties: As in `ItemAnswers`.
        tied: Per query the scores and the numbers of items of the best ties, the best first, at least 200 items where
            there are so many; the query itself left out.
    """

    usage: Sequence[F64]
    better: F64
    ties: F64
    tied: Sequence[tuple[F64, F64]]

    @property
    def items(self) -> int:
        """Number of items with a SID."""
        return int(self.usage[0].sum())


def scan_items(
    subject: Subject, items: DataFrame, questions: Questions, dim: int, wanted: DataFrame | None = None
) -> ItemAnswers:
    """One pass over the embeddings; a task leaves a few megabytes, whatever the number of items.

    Args:
        subject: What is measured.
        items: item_id, embedding.
        questions: What is asked of every item.
        dim: D.
        wanted: item_id, sid of some items whose embeddings the pass shall leave on its way.
    """
    id_type = arrow_type(items, "item_id")
    scanner = item_scanner(ship(subject.spark, questions), dim, normalization(subject))
    scanned = _asked(subject, items, wanted).mapInArrow(scanner, spark_schema(scanned_schema(id_type)))
    if wanted is not None:
        scanned = subject.staging.keep(scanned, "scanned_items")  # read twice: for its answers, and for the embeddings
    schema = items_schema(id_type)
    answers = scanned.where("query IS NOT NULL").select(*schema.names)
    found = _merged(answers, spark_schema(schema), len(questions.query), items=True)
    better, ties, more = _sums(found, questions, 1 + dim)
    ids = found["item_id"].combine_chunks()
    nearest = [ids[row].values for row in _places(found, len(questions.query))]
    vectors = None if wanted is None else scanned.where("sid IS NOT NULL").select("sid", "embedding")
    return ItemAnswers(int(more[0]), more[1:], better, ties, nearest, vectors)


def _asked(subject: Subject, items: DataFrame, wanted: DataFrame | None) -> DataFrame:
    """What `scans_worker.item_scanner` takes; sid is NULL for items whose embeddings nobody wants."""
    key = item_key("query", subject.config.seed).alias("key")
    keyed = items.select("item_id", key, "embedding").coalesce(_MOST_TASKS)
    if wanted is None:
        return keyed.withColumn("sid", F.lit(None).cast("bigint"))
    return keyed.join(F.broadcast(wanted.select("item_id", "sid")), "item_id", "left")


def scan_sids(subject: Subject, tokenizer: Tokenizer, questions: Questions) -> SidAnswers:
    """One pass over the distinct SIDs; 8 bytes an item are shuffled to count them."""
    bare = replace(tokenizer)  # without what the driver has cached
    shipped = ship(subject.spark, (questions, bare))
    tasks = min(_MOST_TASKS, 1 + subject.sids.count() // _SIDS_A_TASK)
    counted = subject.sids.select("sid").repartition(tasks, "sid").groupBy("sid").agg(F.count(F.lit(1)).alias("items"))
    schema = spark_schema(sids_schema())
    found = _merged(counted.mapInArrow(sid_scanner(shipped), schema), schema, len(questions.query), items=False)
    sizes = tokenizer.codebook_sizes
    better, ties, usage = _sums(found, questions, sum(sizes))
    scores, weights = (found[name].combine_chunks() for name in ("score", "weight"))
    tied = [
        (scores[row].values.to_numpy(), ties_without_self(weights[row].values.to_numpy()))
        for row in _places(found, len(questions.query))
    ]
    return SidAnswers(np.split(usage, list(accumulate(sizes))[:-1]), better, ties, tied)


def _merged(parts: DataFrame, schema: StructType, queries: int, *, items: bool) -> pa.Table:
    """The rows of all tasks as those of one: what is shuffled is a task's best candidates of each query."""
    return parts.repartition("query").mapInArrow(merger(queries, items=items), schema).toArrow()


def _sums(found: pa.Table, questions: Questions, more: int) -> tuple[F64, F64, F64]:
    """The counts better and ties, both without the query itself, and the further sums."""
    pairs = len(questions.left)
    place = np.flatnonzero(found["query"].to_numpy() == SUMS)
    sums = np.zeros(2 * pairs + more)
    if len(place):
        sums = found["sums"][int(place[0])].values.to_numpy()
    better, ties, rest = np.split(sums, [pairs, 2 * pairs])
    own = np.square(questions.left).sum(axis=1)
    return *without_self(better, ties, questions.target, own), rest


def _places(found: pa.Table, queries: int) -> list[int]:
    """Row of each query."""
    order = np.argsort(found["query"].to_numpy(), kind="stable")
    return [int(row) for row in order[len(order) - queries :]]
