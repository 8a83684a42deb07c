"""Which figures of SIDs go with what downstream models make of them, over tokenizers, dials and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from drq_spark.arrays import F64
from drq_spark.compare.standing import COLUMNS, Column, judged_value
from drq_spark.formulas.rank_correlation import RankCorrelation, rank_correlation
from drq_spark.probe.downstream_models import MODELS

Key = tuple[str, str, str]
"""Model, figure and segment."""

HEADLINES = (("recommend", "ndcg_10", "high"), ("recommend", "recall_50", "high"), ("rank", "gauc", "high"))
"""Task, figure, and which end is good, of the downstream figures that others are held against."""
FEWEST = 4  # points that a correlation is told of


@dataclass(frozen=True)
class Downstream:
    """A figure of a downstream model, its standard error by users, and the questions that it is a mean of."""

    value: float
    standard_error: float | None
    questions: int


@dataclass(frozen=True)
class Point:
    """One run.

    Attributes:
        label: Tokenizer, and its dial where there are several.
        name: The tokenizer.
        seed: Of everything.
        diagnosis: Figures of the SIDs by column of `compare.standing`, one a level or one in all.
        downstream: Figures of models that use the SIDs; one run of each seed has those of the others, too.
    """

    label: str
    name: str
    seed: int
    diagnosis: Mapping[str, tuple[float, ...]]
    downstream: Mapping[Key, Downstream]


@dataclass(frozen=True)
class Prediction:
    """How a figure of SIDs goes with a downstream figure.

    Attributes:
        column: The figure of the SIDs.
        key: The downstream figure.
        found: Rank correlation over the points, positive where a better one goes with a better one.
        points: How many points have both.
    """

    column: Column
    key: Key
    found: RankCorrelation
    points: int


def judged_keys(points: Sequence[Point]) -> list[Key]:
    """The downstream figures of models that use SIDs, of all questions, that others are held against."""
    there = dict.fromkeys(key for point in points for key in point.downstream)
    return [
        (model, figure, "all")
        for task, figure, _ in HEADLINES
        for model in dict.fromkeys(key[0] for key in there)
        if MODELS[model].task == task and MODELS[model].uses_sids and (model, figure, "all") in there
    ]


def predictions(points: Sequence[Point]) -> list[Prediction]:
    """The correlation of every figure of SIDs with every downstream figure, where `FEWEST` points or more have both.

    Ranks are taken within each seed, for a seed has users and questions of its own: first the mean over the points of
    a seed is taken off both figures. Points of one tokenizer are alike and are resampled together.
    """
    found = []
    for column in COLUMNS:
        for key in judged_keys(points):
            both = [point for point in points if column.key in point.diagnosis and key in point.downstream]
            if column.cost or len(both) < FEWEST:
                continue
            seeds = np.array([point.seed for point in both])
            sign = 1.0 if column.better == "high" else -1.0
            first = np.array([sign * judged_value(column, point.diagnosis[column.key]) for point in both])
            second = np.array([point.downstream[key].value for point in both])
            _, groups = np.unique([point.name for point in both], return_inverse=True)
            correlation = rank_correlation(without_seed_means(first, seeds), without_seed_means(second, seeds), groups)
            found.append(Prediction(column, key, correlation, len(both)))
    return found


def without_seed_means(values: F64, seeds: np.ndarray[tuple[int], np.dtype[np.int64]]) -> F64:
    """Without the mean of each seed."""
    centred: F64 = values.copy()
    for seed in np.unique(seeds):
        centred[seeds == seed] -= values[seeds == seed].mean()
    return centred
