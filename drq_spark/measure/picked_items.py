"""The embeddings of all items that figures draw, picked out of the catalogue in one pass for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.measure.subject import Subject


def with_picked(subject: Subject, drawn: Sequence[DataFrame]) -> Subject:
    """The subject with the embeddings of drawn items at hand; ids are broadcast, embeddings are not shuffled.

    It is worth a copy where the catalogue has many more items than are drawn.

    Args:
        subject: What is measured; it has items.
        drawn: item_id and more, each of the items that some figure draws.
    """
    assert subject.items is not None
    ids = reduce(DataFrame.unionByName, (items.select("item_id") for items in drawn))
    rows_of_ids = subject.items.select("item_id", "embedding").join(F.broadcast(ids), "item_id", "left_semi")
    return replace(subject, picked=subject.staging.keep(rows_of_ids, "picked_items"))
