"""Fixtures of the pipeline tests; a whole run is dear, so that they share three."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pipeline import nights as runs

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def nights(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> runs.Nights:
    """Three runs in one folder, see `pipeline.nights`."""
    return runs.nights(spark, tmp_path_factory.mktemp("nights"))
