"""A run that asks for GPUs where there are none is refused before it begins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from drq_spark import pipeline
from drq_spark.config import load_config
from drq_spark.errors import ConfigError
from drq_spark.gpu.gpu_tasks import require_gpus


def spark_with(**settings: str) -> Any:
    """What is asked of a session: its settings, by name with _ for the dots."""
    kept = {name.replace("_", "."): value for name, value in settings.items()}
    return SimpleNamespace(conf=SimpleNamespace(get=lambda name, default: kept.get(name, default)))


def test_without_the_setting_nothing_is_asked():
    require_gpus(None, load_config())  # type: ignore[arg-type]


def test_gpus_that_tasks_are_given_are_taken():
    for master in ("yarn", "k8s://https://a", "spark://a:7077", "local-cluster[1,1,1024]"):
        spark = spark_with(spark_master=master, spark_task_resource_gpu_amount="0.25")
        require_gpus(spark, load_config(options={"assign.device": "gpu"}))


def test_tasks_without_a_gpu_are_refused_with_what_is_missing():
    with pytest.raises(ConfigError) as refused:
        require_gpus(spark_with(), load_config(options={"assign.device": "gpu"}))
    told = str(refused.value)
    assert (refused.value.exit_code, told.count("\n")) == (2, 0)
    for part in ("assign.device is gpu", "spark.task.resource.gpu.amount is not set",
                 "spark.executor.resource.gpu.amount", "assign.device=cpu"):  # fmt: skip
        assert part in told


def test_the_step_alone_asks_too():
    """`drq assign` takes up a run that another session has begun, on a cluster that had GPUs."""
    run: Any = SimpleNamespace(
        spark=spark_with(), config=load_config(options={"assign.device": "gpu"}), refuse_followed=lambda: None
    )
    with pytest.raises(ConfigError, match=r"spark\.task\.resource\.gpu\.amount is not set"):
        pipeline.assign(run, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("master", ["local", "local[*]", "local[2,3]"])
def test_spark_in_one_process_is_refused_before_a_job_waits_for_ever(master):
    """Told of GPUs, it never starts a task."""
    spark = spark_with(spark_master=master, spark_task_resource_gpu_amount="1")
    with pytest.raises(ConfigError, match=r"one process \(spark\.master is local.*assign\.device=cpu$"):
        require_gpus(spark, load_config(options={"assign.device": "gpu"}))
    require_gpus(spark, load_config())


def test_beams_that_a_gpu_cannot_rank_for_are_refused_before_training():
    config = load_config(options={"assign.device": "gpu", "tokenizer.beam": 13})
    with pytest.raises(ConfigError, match=r"tokenizer\.beam is 13: a GPU ranks for beams of up to 12; .*cpu$"):
        require_gpus(spark_with(spark_task_resource_gpu_amount="1"), config)
