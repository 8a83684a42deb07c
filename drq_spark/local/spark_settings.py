"""The Spark settings of a local session: Delta, a quiet Java, and sizes that suit one machine."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from drq_spark.local.class_archive import class_archive, with_archive
from drq_spark.local.compiled_queries import INTERPRETED
from drq_spark.local.java import delta_jars, find_java
from drq_spark.machine_memory import memory_limit

logger = logging.getLogger(__name__)

# Hundreds of queries on few rows run no loop long enough for Java's second compiler to pay: without it half the
# processor time. But then Java keeps 48 MB for compiled code, of which one run needs more: it would drop and compile it
# for ever.
_QUICK_JAVA = ("-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=240m")
# Over more rows some loops pay for the second compiler, ten times fewer than it takes by itself: what it compiles must
# run ten times as often. Of a run on a million items it took a quarter of the processor time, now half of that.
_RARE_OPTIMIZER = (
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
)
# Nothing waits for a single answer, so the collector that takes the least time in all: a run on a million items took
# 174 s of processor time with G1 and 150 s with this one. Java refuses to start with two, and a user's comes first.
_COLLECTOR = "-XX:+UseParallelGC"
_OPTIONS_OF_USERS = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "SPARK_SUBMIT_OPTS")
# Where one file is all, the least and greatest values of columns, by which readers leave out files, are of no use.
_SMALL_DATA = {**INTERPRETED, "spark.databricks.delta.stats.collect": "false"}


def local_settings(
    scratch: Path,
    *,
    memory: str | None = None,
    shuffle_partitions: int = 8,
    small_data: bool = False,
    quick_java: bool = False,
    progress: Callable[[str], None] | None = None,
) -> dict[str, str]:
    """The Spark settings of a local session; they must reach Java before it starts, as `local_session` sees to.

    Args:
        scratch, memory, shuffle_partitions, small_data, quick_java, progress: As for
            `drq_spark.session.local_session`; the folders of `scratch` are made.

    Raises:
        SetupError: Java or Delta's jars are missing.
    """
    java = find_java()
    jars = delta_jars(java, progress or logger.info)
    for name in ("warehouse", "local"):
        (scratch / name).mkdir(parents=True, exist_ok=True)
    return {
        **_delta_settings(jars),
        **_quiet_settings(scratch),
        **(_SMALL_DATA if small_data else {}),
        "spark.driver.extraJavaOptions": _java_options(scratch, java, quick=small_data or quick_java),
        "spark.driver.memory": memory or default_heap(),
        "spark.sql.shuffle.partitions": str(shuffle_partitions),
    }


def default_heap() -> str:
    """Java's heap, such as "2048m": a quarter of what the machine or the container has, between 1 and 8 GiB.

    Where a GiB is more than half of it, half of it.
    """
    total = memory_limit() // 2**20
    return f"{min(max(total // 4, min(1024, total // 2)), 8192)}m"


def _delta_settings(jars: list[Path]) -> dict[str, str]:
    return {
        "spark.jars": ",".join(jar.resolve().as_uri() for jar in jars),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.databricks.delta.snapshotPartitions": "2",  # with the default of 50 a count on a new table takes 15 s
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",  # tasks of a VACUUM; 10000 by default
    }


def _java_options(folder: Path, java: Path, *, quick: bool) -> str:
    archive = class_archive(java)
    options = [
        "-Duser.timezone=UTC",
        f"-Dderby.system.home={folder}",
        f"-XX:ErrorFile={folder / 'java-crash.log'}",
        *(_QUICK_JAVA if quick else _RARE_OPTIMIZER),
        *([] if _names_collector(os.environ) else [_COLLECTOR]),
        *(with_archive(archive) if archive.is_file() else []),
    ]
    return " ".join(f'"{option}"' for option in options)


def _names_collector(environment: Mapping[str, str]) -> bool:
    """Whether options for Java that a user has set name a garbage collector."""
    return any(re.search(r"-XX:\+Use\w+GC\b", environment.get(name, "")) for name in _OPTIONS_OF_USERS)


def _quiet_settings(folder: Path) -> dict[str, str]:
    return {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": (folder / "warehouse").resolve().as_uri(),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.python.worker.faulthandler.enabled": "true",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
