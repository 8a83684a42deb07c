"""Figures of search in the whole catalogue: neighbours, and what users do, with exact ranks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from drq_spark.arrays import I64
from drq_spark.errors import ConsistencyError
from drq_spark.formulas.estimates import Estimate
from drq_spark.measure.behaviour.judged import Chosen, Judged, choose, judged_of
from drq_spark.measure.behaviour.neighbours import neighbour_recall
from drq_spark.measure.behaviour.retention import retention
from drq_spark.measure.behaviour.scans import ItemAnswers, SidAnswers, scan_items, scan_sids
from drq_spark.measure.behaviour.scans_worker import Questions
from drq_spark.measure.behaviour.separation import Score, embedding_scores, prefix_score, raw_score, separation
from drq_spark.measure.subject import Subject
from drq_spark.metrics import ITEMS, Metric, MetricRow
from drq_spark.tokenizer.keys import keys_to_codes
from drq_spark.vectors import unit_rows


def judges(subject: Subject) -> bool:
    """Whether `retrieval` has something to judge."""
    return _is_searched(subject) or subject.pairs is not None


def _is_searched(subject: Subject) -> bool:
    return subject.rebuilds and subject.items is not None


@dataclass(frozen=True)
class Retrieved:
    """Figures of search, and what the scan of the items has left on its way.

    Attributes:
        figures: Rows of the metrics table.
        vectors: sid, embedding of the items whose embeddings were wanted; None where the items were not scanned.
    """

    figures: list[MetricRow]
    vectors: DataFrame | None = None


def retrieval(subject: Subject, chosen: Chosen | None = None, wanted: DataFrame | None = None) -> Retrieved:
    """Neighbour recall, hit rates and retention, and the AUC of embeddings and SIDs, with standard errors.

    The embeddings are scanned once to compare every item with the judged ones, which another scan picks out unless the
    subject has them at hand. The distinct SIDs are scanned once. Without a tokenizer there is no x_hat, and the AUC of
    embeddings and of shared prefixes is left. Without items the AUC of SIDs is left, without events the neighbours are.

    Args:
        subject: What is measured.
        chosen: What is judged, where it was chosen before.
        wanted: item_id, sid of items whose embeddings the scan shall leave on its way.

    Raises:
        ConsistencyError: a tokenizer gave the SIDs, and the items with a usable embedding are not those with a SID.
    """
    if not judges(subject):
        return Retrieved([])
    judged, searched = judged_of(subject, chosen or choose(subject)), _is_searched(subject)
    settings = subject.config.measure
    pairs = judged.pairs[: settings.ranked_pairs] if searched else judged.pairs[:0]
    queries = judged.items[: settings.neighbour_queries] if searched else judged.items[:0]
    by_item = _ask_items(subject, judged, pairs, queries, wanted)
    by_sid = _ask_sids(subject, judged, pairs, queries)
    figures: dict[Metric, Estimate] = {}
    if by_item is not None and by_sid is not None:
        _check_same_items(by_item, by_sid)
        figures |= neighbour_recall(subject, judged, queries, by_item, by_sid)
        figures |= retention(judged.users[: len(pairs)], by_item, by_sid)
    figures |= separation(judged, settings.scored_pairs, _scores(subject, judged, by_item, by_sid), subject.config.seed)
    if subject.pairs is not None:
        figures[Metric.BEHAVIOUR_PAIRS] = Estimate(float(judged.all_pairs), float("nan"))
    rows = [_row(metric, estimate) for metric, estimate in figures.items() if isfinite(estimate.value)]
    return Retrieved(rows, None if by_item is None else by_item.vectors)


def _ask_items(
    subject: Subject, judged: Judged, pairs: I64, queries: I64, wanted: DataFrame | None
) -> ItemAnswers | None:
    if subject.items is None or judged.x is None:
        return None
    questions = _questions(judged.x.__getitem__, pairs, queries)
    return scan_items(subject, subject.items, questions, judged.x.shape[1], wanted)


def _ask_sids(subject: Subject, judged: Judged, pairs: I64, queries: I64) -> SidAnswers | None:
    tokenizer = subject.tokenizer
    if tokenizer is None:
        return None
    codes = keys_to_codes(judged.sid, subject.codebook_sizes)
    return scan_sids(subject, tokenizer, _questions(lambda rows: tokenizer.decode(codes[rows]), pairs, queries))


def _questions(vectors: Callable[[I64], NDArray[np.floating]], pairs: I64, queries: I64) -> Questions:
    """Questions about pairs [P, 2] and queries [Q], rows of the judged items whose vectors a function gives."""
    left, right = unit_rows(vectors(pairs[:, 0])), unit_rows(vectors(pairs[:, 1]))
    return Questions(left, (left * right).sum(axis=1), unit_rows(vectors(queries)))


def _scores(
    subject: Subject, judged: Judged, by_item: ItemAnswers | None, by_sid: SidAnswers | None
) -> dict[str, Score]:
    """All scores that there are vectors for."""
    scores = prefix_score(judged, subject.codebook_sizes)
    if by_item is not None:
        scores |= raw_score(judged, by_item)
    if by_sid is not None and subject.tokenizer is not None:
        scores |= embedding_scores(judged, subject.tokenizer, by_sid)
    return scores


def _check_same_items(by_item: ItemAnswers, by_sid: SidAnswers) -> None:
    if by_item.items != by_sid.items:
        raise ConsistencyError(
            f"{by_item.items:,} items have a usable embedding, but {by_sid.items:,} have a SID; "
            "did the items table change since the run?"
        )


def _row(metric: Metric, estimate: Estimate) -> MetricRow:
    error = estimate.error if isfinite(estimate.error) else None
    return MetricRow(metric.value, 0, ITEMS, None, estimate.value, error)
