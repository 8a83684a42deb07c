"""Seven items in two levels, small enough to count by hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from drq_spark.tokenizer.keys import codes_to_keys

SIZES = (3, 4)
CODES = {"a": (0, 0), "b": (0, 0), "c": (0, 3), "d": (2, 1), "e": (2, 1), "f": (2, 1), "g": (2, 2)}
SHOWN = {"a": 1.0, "b": 0.0, "c": 4.0, "d": 0.0, "e": 0.0, "f": 0.0, "g": 2.5}
HASHES = {"a": 1, "b": 1, "c": 2, "d": 3, "e": 3, "f": 4, "g": 5}


def sids(spark: SparkSession, exposure: Mapping[str, float]) -> DataFrame:
    """The columns of the sids table that are counted."""
    keys = codes_to_keys(np.array(list(CODES.values())), SIZES).tolist()
    rows = [
        (item, list(code), key, exposure.get(item), HASHES[item], number)
        for number, ((item, code), key) in enumerate(zip(CODES.items(), keys, strict=True))
    ]
    schema = "item_id string, codes array<int>, sid bigint, exposure double, embedding_hash bigint, suffix int"
    return spark.createDataFrame(rows, schema)
