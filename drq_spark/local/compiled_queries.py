"""Queries over many rows in a session for little data: compiled, where those over few rows are interpreted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
_COMPILED = {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}


@contextmanager
def compiled_queries(spark: SparkSession) -> Iterator[None]:
    """Let Spark compile the queries that run inside, where the session interprets them.

    A catalogue of thousands of items has hundreds of thousands of events: over so many rows interpreting costs more
    than compiling. A session that compiles anyway, such as that of a cluster, stays as it is.
    """
    if any(spark.conf.get(name, None) != value for name, value in INTERPRETED.items()):
        yield
        return
    _set(spark, _COMPILED)
    try:
        yield
    finally:
        _set(spark, INTERPRETED)


def _set(spark: SparkSession, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        spark.conf.set(name, value)
