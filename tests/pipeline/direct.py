"""The steps called one by one on a ready tokenizer, for rules that need no whole run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pipeline.catalogues import F32, SMALL
from pyspark.sql import DataFrame, SparkSession

from drq_spark.assign.assignment import Assignment, assign_items
from drq_spark.config import Config, load_config
from drq_spark.inputs.items import Catalogue, read_catalogue
from drq_spark.staging import Staging
from drq_spark.tokenizer import Tokenizer


def config(path: str, *more: str, codes: int = 6, levels: int = 3) -> Config:
    """Settings for items at a path or of a name; `more` as for --set."""
    options = {"items.path": path, "tokenizer.levels": levels, "tokenizer.codes": codes}
    return load_config(options=options, settings=(*SMALL, *more))


def ready_tokenizer(x: F32, codes: int = 6, levels: int = 3, normalize: str = "none") -> Tokenizer:
    """A tokenizer without training: codewords are items, scaled down from level to level."""
    random = np.random.default_rng(3)
    picked = [x[random.choice(len(x), codes, replace=False)] / 2**level for level in range(levels)]
    books = tuple(
        (book - (0 if level == 0 else book.mean(axis=0))).astype(np.float32) for level, book in enumerate(picked)
    )
    return Tokenizer("ready", x.shape[1], normalize, books, latent_rms=(1.0,) * len(books))  # type: ignore[arg-type]


def assigned(
    spark: SparkSession, settings: Config, tokenizer: Tokenizer, staging: Path
) -> tuple[Catalogue, Assignment]:
    """Read the items and give them SIDs."""
    catalogue = read_catalogue(spark, settings)
    return catalogue, assign_items(catalogue, tokenizer, Staging(str(staging)))


def by_id(df: DataFrame, *columns: str) -> Mapping[Any, tuple[Any, ...]]:
    """item_id -> values of some columns; arrays as tuples, so that floats compare to the bit."""
    rows = df.select("item_id", *columns).collect()
    found = {row[0]: tuple(tuple(value) if isinstance(value, list) else value for value in row[1:]) for row in rows}
    assert len(found) == len(rows)
    return found
