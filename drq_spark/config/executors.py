"""What executors compute with."""

from __future__ import annotations

from pydantic import Field

from drq_spark.config.section import Processor, Section


class Assign(Section):
    """How executors give items their SIDs."""

    device: Processor = Field(
        "cpu",
        description="gpu: the matrix products on the GPU that Spark gives each task (spark.task.resource.gpu.amount), where executors have torch and numba; the same SIDs to the bit",
    )
