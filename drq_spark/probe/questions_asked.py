"""All questions put to a fitted model, as a Spark job; the answers are as many as the questions, and come back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from drq_spark.arrays import F32, I32, I64
from drq_spark.probe.behaviour_data import Questions
from drq_spark.probe.model_contract import FittedRanker, FittedRecommender
from drq_spark.probe.questions_asked_worker import RANKS, SCORES, Ranks, Scores
from drq_spark.row_types import spark_schema
from drq_spark.ship import ship

_QUESTIONS_A_TASK = 2_000


def ranks_of_targets(spark: SparkSession, model: FittedRecommender, questions: Questions) -> I64:
    """Rank of each target among the best items, int64 [q], see `formulas.hit_ranks.target_ranks`."""
    answers = _rows(spark, questions).mapInArrow(Ranks(ship(spark, model)), spark_schema(RANKS)).toArrow()
    return np.asarray(answers.sort_by("question")["rank"].to_numpy(), np.int64)


def scores_of_shown(spark: SparkSession, model: FittedRanker, questions: Questions) -> F32:
    """Scores of each target and of the items beside it: float32 [q, 1 + C]."""
    answers = _rows(spark, questions).mapInArrow(Scores(ship(spark, model)), spark_schema(SCORES)).toArrow()
    scores = answers.sort_by("question")["scores"].combine_chunks().flatten().to_numpy()
    return np.asarray(scores.reshape(len(questions), -1), np.float32)


def _rows(spark: SparkSession, questions: Questions) -> DataFrame:
    """The questions as rows, in some tasks."""
    table = pa.table(
        {
            "question": pa.array(np.arange(len(questions))),
            "history": _lists(questions.history),
            "target": pa.array(questions.target),
            "others": _lists(questions.others),
        }
    )
    return spark.createDataFrame(table).repartition(max(1, -(-len(questions) // _QUESTIONS_A_TASK)), "question")


def _lists(rows: I32) -> pa.ListArray:
    ends = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(rows.reshape(-1)))
