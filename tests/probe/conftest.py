"""One torch thread: the networks are tiny."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drq_spark.train.runtime import torch_threads


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """For every test of this folder."""
    with torch_threads(1):
        yield
