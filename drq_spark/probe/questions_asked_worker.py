"""Questions answered on executors, which need torch for it: ranks of what came, or scores of what was shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from drq_spark.arrays import I32
from drq_spark.formulas.hit_ranks import target_ranks

if TYPE_CHECKING:
    from drq_spark.probe.model_contract import FittedRanker, FittedRecommender
    from drq_spark.ship import Shipped

T = TypeVar("T")
DEEPEST = 50
"""Items that a recommender is asked for."""
RANKS = pa.schema({"question": pa.int64(), "rank": pa.int64()})
SCORES = pa.schema({"question": pa.int64(), "scores": pa.list_(pa.float32())})


class Ranks:
    """For mapInArrow: question, history, target -> question, rank of the target among `DEEPEST`, see `hit_ranks`."""

    def __init__(self, model: Shipped[FittedRecommender]) -> None:
        self.model = model

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        model = _fitted(self.model)
        for batch in batches:
            best = model.best(_matrix(batch, "history"), DEEPEST)
            ranks = target_ranks(best, batch.column("target").to_numpy())
            yield pa.record_batch([batch.column("question"), pa.array(ranks)], schema=RANKS)


class Scores:
    """For mapInArrow: question, history, target, others -> question, scores of the target and then of the others."""

    def __init__(self, model: Shipped[FittedRanker]) -> None:
        self.model = model

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        model = _fitted(self.model)
        for batch in batches:
            shown = np.column_stack([batch.column("target").to_numpy(), _matrix(batch, "others")])
            scores = np.asarray(model.scores(_matrix(batch, "history"), shown), np.float32)
            lengths = np.arange(len(scores) + 1, dtype=np.int32) * scores.shape[1]
            lists = pa.ListArray.from_arrays(pa.array(lengths), pa.array(scores.reshape(-1)))
            yield pa.record_batch([batch.column("question"), lists], schema=SCORES)


def _fitted(shipped: Shipped[T]) -> T:
    """The model; a task has one core, and torch would take all."""
    import torch

    torch.set_num_threads(1)
    return shipped.value()


def _matrix(batch: pa.RecordBatch, name: str) -> I32:
    values = batch.column(name).flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values.reshape(batch.num_rows, -1), np.int32)
