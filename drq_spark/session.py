"""The Spark session: the one a cluster already has, or a quiet local one for the command line, the tests and the demo.

A cluster is present when this process already has a session (a notebook), when spark-submit started this process, when
Spark Connect is asked for, or on a Databricks runtime: `running_session` then hands out that session and changes none
of its settings. Anywhere else `local_session` starts Spark in this machine's Java (`drq_spark.local`), with
Delta's two jars, and keeps Spark's own messages in a file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from drq_spark.local.java import require_pyspark
from drq_spark.local.spark_settings import local_settings
from drq_spark.local.start import start, temporary_folder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CLUSTER_VARIABLES = (
    "PYSPARK_GATEWAY_PORT",  # spark-submit started this Python
    "SPARK_REMOTE",  # Spark Connect
    "SPARK_CONNECT_MODE_ENABLED",
    "DATABRICKS_RUNTIME_VERSION",
)


def session_for_run(
    progress: Callable[[str], None] | None = None,
    *,
    small_data: bool = False,
    quick_java: bool = False,
    memory: str | None = None,
) -> SparkSession:
    """The cluster's session where there is one, else a new local one; what the command line and the jobs use."""
    return running_session() or local_session(
        progress=progress, small_data=small_data, quick_java=quick_java, memory=memory
    )


def has_cluster() -> bool:
    """Whether `running_session` would find one."""
    if any(os.environ.get(name) for name in CLUSTER_VARIABLES):
        return True
    if "pyspark.sql" not in sys.modules:
        return False
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession() is not None


def running_session() -> SparkSession | None:
    """The session that a cluster or a notebook has, with its settings untouched; None where there is no cluster.

    Raises:
        SetupError: pyspark is not installed.
    """
    require_pyspark()
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    if any(os.environ.get(name) for name in CLUSTER_VARIABLES):
        return SparkSession.builder.appName("drq_spark").getOrCreate()
    return None


def local_session(
    app_name: str = "drq_spark",
    *,
    master: str = "local[*]",
    memory: str | None = None,
    shuffle_partitions: int = 8,
    small_data: bool = False,
    quick_java: bool = False,
    scratch: Path | None = None,
    settings: Mapping[str, str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> SparkSession:
    """A local Spark session with Delta, or the session that this process already has.

    Args:
        app_name: Name of the application.
        master: `local[2]`, `local[*]` or `local-cluster[workers,cores,MiB]`.
        memory: Java heap, such as "4g"; a quarter of the memory of the machine or container between 1 and 8 GiB
            without it.
        shuffle_partitions: Upper bound of the tasks after a shuffle; small, because every task costs some milliseconds.
        small_data: Spark interprets queries instead of compiling each to Java, with `quick_java`: half the time for the
            hundreds of queries of a run on thousands of rows, slower over millions.
        quick_java: Java compiles in haste: its second compiler is a third of the processor time of a night on a million
            items, and does not pay there. A run that encodes all of them is a sixth dearer without it.
        scratch: Folder for the warehouse, the shuffle files and `spark.log`; without it a temporary folder that goes
            when the process ends.
        settings: Spark settings that are laid over the ones made here.
        progress: Called with one line before anything slow happens (the first download); logged without it.

    Raises:
        SetupError: pyspark, Java or Delta's jars are missing, or Spark does not start; one line, what to do.
    """
    require_pyspark()
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    folder = scratch or temporary_folder()
    base = local_settings(
        folder,
        memory=memory,
        shuffle_partitions=shuffle_partitions,
        small_data=small_data,
        quick_java=quick_java,
        progress=progress,
    )
    return start(app_name, master, {**base, **(settings or {})}, folder)
