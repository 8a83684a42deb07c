"""Where rows are kept while a sample is drawn: cached by Spark, or in a folder that every node sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from pyspark.sql import DataFrame, SparkSession

from drq_spark.files import remove_folder
from drq_spark.staging import Staging


@dataclass(frozen=True)
class CachedRows(Staging):
    """Rows by name, on the executors.

    A lost executor computes its part again: draws are by hash, so that it gets the same rows.

    Attributes:
        held: What is cached.
    """

    held: dict[str, DataFrame] = field(default_factory=dict, compare=False, repr=False)

    def keep(self, df: DataFrame, name: str) -> DataFrame:
        """Cache rows when they are first read, instead of what had this name before."""
        if name in self.held:
            self.held[name].unpersist()
        self.held[name] = df.persist()
        return self.held[name]

    def read(self, spark: SparkSession, name: str) -> DataFrame:
        """What has been kept under a name."""
        return self.held[name]


@contextmanager
def fit_staging(folder: str) -> Iterator[Staging]:
    """Staging for the work inside; nothing stays. Without a folder Spark caches the rows."""
    if folder:
        own = f"{folder.rstrip('/')}/{uuid4().hex}"
        try:
            yield Staging(own)
        finally:
            remove_folder(own)
        return
    rows = CachedRows("")
    try:
        yield rows
    finally:
        for df in rows.held.values():
            df.unpersist()
