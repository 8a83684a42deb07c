"""How often a column is read: each of its values leaves a byte in a file."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import Column
from pyspark.sql import functions as F


def counting(file: Path, name: str) -> Column:
    """The same embeddings (array<float>); Spark takes them for random, and so computes each once for a reading."""

    def count(embedding):
        with file.open("ab") as readings:
            readings.write(b".")
        return embedding

    return F.udf(count, "array<float>").asNondeterministic()(name)
