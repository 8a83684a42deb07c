"""The Spark session: the one a cluster already has, or a quiet local one for the command line, the tests and the demo.

A cluster is present when this process already has a session (a notebook), when spark-submit started this process, when
Spark Connect is asked for, or on a Databricks runtime: `running_session` then hands out that session and changes none
of its settings. Anywhere else `local_session` starts Spark in this machine's Java, with Delta's two jars, and keeps
Spark's own messages in a file.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drq_spark.errors import SetupError
from drq_spark.local.java import delta_jars, find_java, require_pyspark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

CLUSTER_VARIABLES = (
    "PYSPARK_GATEWAY_PORT",  # spark-submit started this Python
    "SPARK_REMOTE",  # Spark Connect
    "SPARK_CONNECT_MODE_ENABLED",
    "DATABRICKS_RUNTIME_VERSION",
)

_INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}


def session_for_run(progress: Callable[[str], None] | None = None, *, small_data: bool = False) -> SparkSession:
    """The cluster's session where there is one, else a new local one; what the command line and the jobs use."""
    return running_session() or local_session(progress=progress, small_data=small_data)


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
    scratch: Path | None = None,
    settings: Mapping[str, str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> SparkSession:
    """A local Spark session with Delta, or the session that this process already has.

    Args:
        app_name: Name of the application.
        master: `local[2]`, `local[*]` or `local-cluster[workers,cores,MiB]`.
        memory: Java heap, such as "4g"; a quarter of the machine's memory between 1 and 8 GiB without it.
        shuffle_partitions: Upper bound of the tasks after a shuffle; small, because every task costs some milliseconds.
        small_data: Spark interprets queries instead of compiling each to Java: a third less time for the hundreds of
            queries of a run on thousands of rows (the tests, the demo), slower over millions.
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
    folder = scratch or _temporary_folder()
    base = local_settings(
        folder, memory=memory, shuffle_partitions=shuffle_partitions, small_data=small_data, progress=progress
    )
    _prepare_environment()
    logging.getLogger("py4j").setLevel(logging.WARNING)  # it tells of every connection that closes
    return _start(app_name, master, {**base, **(settings or {})}, folder / "spark.log")


def local_settings(
    scratch: Path,
    *,
    memory: str | None = None,
    shuffle_partitions: int = 8,
    small_data: bool = False,
    progress: Callable[[str], None] | None = None,
) -> dict[str, str]:
    """The Spark settings of a local session; they must reach Java before it starts (`local_session` sees to that).

    Args:
        scratch: As for `local_session`; its folders are made.
        memory: As for `local_session`.
        shuffle_partitions: As for `local_session`.
        small_data: As for `local_session`.
        progress: As for `local_session`.

    Raises:
        SetupError: Java or Delta's jars are missing.
    """
    jars = delta_jars(find_java(), progress or logger.info)
    for name in ("warehouse", "local"):
        (scratch / name).mkdir(parents=True, exist_ok=True)
    return {
        **_delta_settings(jars),
        **_quiet_settings(scratch),
        **(_INTERPRETED if small_data else {}),
        "spark.driver.extraJavaOptions": _java_options(scratch),
        "spark.driver.memory": memory or _default_memory(),
        "spark.sql.shuffle.partitions": str(shuffle_partitions),
    }


def _prepare_environment() -> None:
    """What Spark reads from the environment only, and what a laptop often has wrong."""
    import pyspark

    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")  # a laptop's host name need not resolve
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    home = Path(pyspark.__file__).parent
    if (home / "jars").is_dir():  # another Spark in SPARK_HOME would run jars of another version
        os.environ["SPARK_HOME"] = str(home)


def _temporary_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="drq-spark-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _default_memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return "2g"
    return f"{min(max(total // 4 // 2**20, 1024), 8192)}m"


def _delta_settings(jars: list[Path]) -> dict[str, str]:
    return {
        "spark.jars": ",".join(jar.resolve().as_uri() for jar in jars),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.databricks.delta.snapshotPartitions": "2",  # with the default of 50 a count on a new table takes 15 s
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",  # tasks of a VACUUM; 10000 by default
    }


def _java_options(folder: Path) -> str:
    options = [
        "-Duser.timezone=UTC",
        f"-Dderby.system.home={folder}",
        f"-XX:ErrorFile={folder / 'java-crash.log'}",
    ]
    return " ".join(f'"{option}"' for option in options)


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


def _start(app_name: str, master: str, settings: Mapping[str, str], log_file: Path) -> SparkSession:
    """Start Java with its output in a file: half of what it prints at the start no setting can silence."""
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkException
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    conf = SparkConf(loadDefaults=False).setAppName(app_name).setMaster(master).setAll(list(settings.items()))
    gateway: Any = getattr(SparkContext, "_gateway", None)  # a stopped session leaves its Java behind
    try:
        if gateway is None:
            with log_file.open("ab") as log:
                gateway = launch_gateway(conf, {"stdout": log, "stderr": log})  # type: ignore[no-untyped-call]
            atexit.register(_end_java, gateway)
        session = SparkSession(SparkContext(conf=conf, gateway=gateway))
    except (PySparkException, OSError) as error:
        raise SetupError(f"Spark does not start: {_first_fault(log_file) or error}") from None
    atexit.register(_stop, session)  # before Java ends: Python's side complains of connections that break
    return session


def _stop(session: SparkSession) -> None:
    with contextlib.suppress(Exception):  # the process ends; Java may be gone already
        session.stop()


def _end_java(gateway: Any) -> None:
    """Java ends with its standard input; waiting lets it remove its files before the scratch folder goes.

    The connection is closed before: Python would complain of every object that it gives back to a Java that is gone.
    """
    with contextlib.suppress(Exception):
        gateway.shutdown()
    process: subprocess.Popen[bytes] = gateway.proc
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=15)


def _first_fault(log_file: Path) -> str:
    lines = log_file.read_text(encoding="utf-8", errors="replace").splitlines() if log_file.exists() else []
    faults = (line.strip() for line in lines if re.search(r"(?i)error|exception|could not|unrecognized|invalid", line))
    return next(faults, "")[:200]
