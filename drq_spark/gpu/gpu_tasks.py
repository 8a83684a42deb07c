"""What the driver knows of executors with a GPU: whether tasks are given one at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from drq_spark.config import Config
from drq_spark.errors import ConfigError
from drq_spark.tokenizer.kernel_choice import WIDEST_BEAM

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AMOUNT_OF_TASK = "spark.task.resource.gpu.amount"


def require_gpus(spark: SparkSession, config: Config) -> None:
    """Refuse `assign.device: gpu` where no task would have a GPU, or could not use it.

    Raises:
        ConfigError: Spark runs in one process or gives its tasks none, or the beam is wider than the compiled search
            has room for.
    """
    if config.assign.device == "cpu":
        return
    master = spark.conf.get("spark.master", None) or ""
    if re.match(r"local(\[|$)", master):
        raise ConfigError(
            f"assign.device is gpu, and Spark runs in one process (spark.master is {master}), where it gives tasks no "
            "GPU: run on a cluster whose executors have one (docs/clusters.md), or set assign.device=cpu"
        )
    if spark.conf.get(AMOUNT_OF_TASK, None) is None:
        raise ConfigError(
            f"assign.device is gpu, and {AMOUNT_OF_TASK} is not set: give spark-submit --conf {AMOUNT_OF_TASK}=1 "
            "--conf spark.executor.resource.gpu.amount=1 (docs/clusters.md), or set assign.device=cpu"
        )
    if config.tokenizer.beam_width > WIDEST_BEAM:
        raise ConfigError(
            f"assign.device is gpu, and tokenizer.beam is {config.tokenizer.beam_width}: a GPU ranks for beams of up "
            f"to {WIDEST_BEAM}; narrow the beam, or set assign.device=cpu"
        )
