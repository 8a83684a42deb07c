"""How well a downstream model has answered: figures by segment of items, with errors by users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32, F64, I64
from drq_spark.formulas.click_figures import balanced_log_loss, grouped_auc
from drq_spark.formulas.estimates import user_auc, user_mean
from drq_spark.formulas.hit_ranks import ndcg_at, recall_at
from drq_spark.probe.behaviour_data import Candidates, Questions

CUTS = (10, 50)
"""Lengths of the lists that recommenders are judged by."""
COLD = "cold"
SEGMENTS = ("all", "head", "tail", COLD)
"""head: the most frequent items, which have half of the training events; tail: others that have any; cold: none."""


@dataclass(frozen=True)
class DownstreamFigure:
    """One figure of a model: `value`, its standard error by users (nan: unknown), over so many questions."""

    figure: str
    segment: str
    value: float
    standard_error: float
    questions: int


def recommendation_figures(ranks: I64, questions: Questions, candidates: Candidates) -> list[DownstreamFigure]:
    """Recall and NDCG at every cut and for every segment of targets; segments without a question are left out.

    Args:
        ranks: int64 [q], see `formulas.hit_ranks.target_ranks`.
        questions: What was asked.
        candidates: The items.
    """
    measures: dict[str, Callable[[I64, int], F64]] = {"recall": recall_at, "ndcg": ndcg_at}
    return [
        _mean(f"{name}_{cut}", segment, measure(ranks[rows], cut), questions.users[rows])
        for segment, rows in _segments(questions, candidates)
        for name, measure in measures.items()
        for cut in CUTS
    ]


def ranking_figures(scores: F32, questions: Questions, candidates: Candidates) -> list[DownstreamFigure]:
    """AUC over all lists, AUC within users (GAUC) and log loss, for every segment that has questions.

    Args:
        scores: float32 [q, 1 + C], logits of the target and of the items beside it.
        questions: What was asked.
        candidates: The items.
    """
    found = []
    for segment, rows in _segments(questions, candidates):
        came, others, users = (
            scores[rows, 0].astype(np.float64),
            scores[rows, 1:].astype(np.float64),
            questions.users[rows],
        )
        of_others = np.repeat(users, others.shape[1])
        estimates = {
            "auc": user_auc(came, others.reshape(-1), users, of_others),
            "gauc": grouped_auc(came, others, users),
            "log_loss": balanced_log_loss(came, others, users),
        }
        found += [DownstreamFigure(name, segment, *estimate, len(users)) for name, estimate in estimates.items()]
    return found


def _mean(figure: str, segment: str, values: F64, users: I64) -> DownstreamFigure:
    return DownstreamFigure(figure, segment, *user_mean(values, users), len(users))


def _segments(questions: Questions, candidates: Candidates) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Segments with the questions whose target is in them, bool [q]."""
    of_item = segments_of(candidates)
    for segment in SEGMENTS:
        rows = np.ones(len(questions), np.bool_) if segment == SEGMENTS[0] else (of_item == segment)[questions.target]
        if rows.any():
            yield segment, rows


def segments_of(candidates: Candidates) -> NDArray[np.str_]:
    """The segment of each item but "all": text [n]."""
    events = candidates.trained_events
    order = np.argsort(-events, kind="stable")
    before = np.cumsum(events[order]) - events[order]
    head = np.zeros(len(events), np.bool_)
    head[order] = before < events.sum() / 2
    return np.where(events == 0, COLD, np.where(head, "head", "tail"))
