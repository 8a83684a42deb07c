"""The embeddings of all items that figures draw, picked out of the catalogue in one pass for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.measure.subject import Subject


def has_picked(subject: Subject, drawn: Sequence[DataFrame]) -> bool:
    """Whether the embeddings of all drawn items (item_id and more) are at hand; no embedding is read for it."""
    if subject.picked is None:
        return False
    return _ids(drawn).join(subject.picked.select("item_id"), "item_id", "left_anti").isEmpty()


def with_picked(subject: Subject, drawn: Sequence[DataFrame]) -> Subject:
    """The subject with the embeddings of drawn items at hand; ids are broadcast, embeddings are not shuffled.

    It is worth a copy where the catalogue has many more items than are drawn.

    Args:
        subject: What is measured; it has items.
        drawn: item_id and more, each of the items that some figure draws.
    """
    assert subject.items is not None
    rows_of_ids = subject.items.select("item_id", "embedding").join(F.broadcast(_ids(drawn)), "item_id", "left_semi")
    return replace(subject, picked=subject.staging.keep(rows_of_ids, "picked_items"))


def _ids(drawn: Sequence[DataFrame]) -> DataFrame:
    return reduce(DataFrame.unionByName, (items.select("item_id") for items in drawn))
