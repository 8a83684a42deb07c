"""Fixtures for all tests: one Spark session per run, started by the first test that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The local session of the package itself: two cores, four tasks after a shuffle, a scratch warehouse."""
    from drq_spark.session import local_session

    session = local_session(
        "tests", master="local[2]", memory="2g", shuffle_partitions=4, scratch=tmp_path_factory.mktemp("spark")
    )
    yield session
    session.stop()
