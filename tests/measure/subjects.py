"""Subjects of tests: items with SIDs, as the measure step has them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from drq_spark.config import Config
from drq_spark.measure.subject import Subject
from drq_spark.staging import Staging
from drq_spark.tokenizer import Tokenizer


def items_frame(
    spark: SparkSession, x: Iterable[np.ndarray | None], partitions: int = 2, ids: list[str] | None = None
) -> DataFrame:
    """item_id, embedding."""
    rows = [None if row is None else row.tolist() for row in x]
    names = ids or [f"i{number:04d}" for number in range(len(rows))]
    table = pa.table({"item_id": names, "embedding": pa.array(rows, pa.list_(pa.float32()))})
    return spark.createDataFrame(table).repartition(partitions)


def sids_frame(
    spark: SparkSession, tokenizer: Tokenizer, codes: np.ndarray, exposure: np.ndarray | None, partitions: int = 2
) -> DataFrame:
    """item_id, codes, sid, exposure, embedding_hash (not known), moved_from (of nobody)."""
    shown = pa.nulls(len(codes), pa.float64()) if exposure is None else pa.array(exposure, pa.float64())
    table = pa.table(
        {
            "item_id": [f"i{number:04d}" for number in range(len(codes))],
            "codes": pa.array(list(codes.astype(np.int32)), pa.list_(pa.int32())),
            "sid": tokenizer.keys(codes),
            "exposure": shown,
            "embedding_hash": pa.nulls(len(codes), pa.int64()),
            "moved_from": pa.nulls(len(codes), pa.int64()),
        }
    )
    return spark.createDataFrame(table).repartition(partitions)


def subject_of(
    sids: DataFrame, tokenizer: Tokenizer | None, staging: Path, settings: dict[str, Any], **other: Any
) -> Subject:
    """With settings of the measure section."""
    sizes, dim = (tokenizer.codebook_sizes, tokenizer.dim) if tokenizer else ((2,), None)
    config = Config.model_validate({"measure": settings})
    return Subject(sids, sizes, "string", config, Staging(str(staging)), tokenizer, dim, **other)
