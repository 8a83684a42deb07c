"""How many of an item's nearest neighbours by x are still the nearest by x_hat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drq_spark.arrays import F64, I64
from drq_spark.errors import ConsistencyError
from drq_spark.formulas.estimates import Estimate, sample_mean
from drq_spark.formulas.ranking import chance_in_top
from drq_spark.measure.behaviour.judged import Judged, located_sids
from drq_spark.measure.behaviour.scans import ItemAnswers, SidAnswers
from drq_spark.measure.subject import Subject
from drq_spark.metrics import Metric
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.keys import keys_to_codes
from drq_spark.vectors import unit_rows

_RECALL = {20: Metric.NEIGHBOUR_RECALL_20, 200: Metric.NEIGHBOUR_RECALL_200}


def neighbour_recall(
    subject: Subject, judged: Judged, queries: I64, by_item: ItemAnswers, by_sid: SidAnswers
) -> dict[Metric, Estimate]:
    """Recall at 20 and 200: mean over queries of sum over the k nearest items by x of P(among the k nearest by x_hat).

    The catalogue is asked once more, for the SIDs of the neighbours. A figure of k is left out where no item has k
    others.

    Args:
        subject: What is measured.
        judged: Items and pairs.
        queries: int64 [Q], rows of the judged items.
        by_item: The answers for them by x.
        by_sid: The answers for them by x_hat.

    Raises:
        ConsistencyError: an item with an embedding has no SID.
    """
    assert subject.tokenizer is not None  # else there is no x_hat
    own = judged.ids.take(pa.array(queries))
    neighbours = [
        ids.filter(pc.not_equal(ids, own[place])).slice(0, max(_RECALL)) for place, ids in enumerate(by_item.nearest)
    ]
    among = _sids_of(subject, neighbours)
    scores = [_scores(subject.tokenizer, sid, sids) for sid, sids in zip(judged.sid[queries], among, strict=True)]
    return {
        metric: sample_mean(_recalls(scores, by_sid.tied, k), by_item.items)
        for k, metric in _RECALL.items()
        if by_item.items > k and len(scores)
    }


def _scores(tokenizer: Tokenizer, sid: int, sids: I64) -> F64:
    """Cosine [n] of the x_hat of one SID to those of others [n]."""
    vectors = unit_rows(tokenizer.decode(keys_to_codes(np.array([sid, *sids]), tokenizer.codebook_sizes)))
    return np.asarray(vectors[1:] @ vectors[0])


def _recalls(scores: Sequence[F64], tied: Sequence[tuple[F64, F64]], k: int) -> F64:
    """Recall [Q] of every query's first k neighbours, from the scores of these by x_hat."""
    return np.array([chance_in_top(own[:k], *best, k).sum() / k for own, best in zip(scores, tied, strict=True)])


def _sids_of(subject: Subject, ids: Sequence[pa.Array]) -> list[I64]:
    """SIDs of several lists of items."""
    if not ids:
        return []
    every = pa.concat_arrays(ids)
    located = located_sids(subject, every)
    place = pc.index_in(every, value_set=located["item_id"].combine_chunks())
    if place.null_count:
        raise ConsistencyError(
            f"{place.null_count:,} neighbours have an embedding and no SID: did the items table change since the run?"
        )
    sids = located["sid"].to_numpy()[place.to_numpy()]
    return np.split(sids, np.cumsum([len(part) for part in ids])[:-1])
