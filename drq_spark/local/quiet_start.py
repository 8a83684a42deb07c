"""Java started with its output in a file: half of what it prints at the start no setting can silence.

pyspark has no public way to do so. The only private attributes that this package uses stand here, and each is looked
for before it is used: where a version of pyspark lacks one, `quiet_gateway` says so and `drq_spark.local.start` starts
Spark the ordinary way.
"""

from __future__ import annotations

import atexit
import contextlib
import inspect
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark import SparkConf


def quiet_gateway(conf: SparkConf, log_file: Path) -> Any | None:
    """Py4J's connection to a Java that this process starts, or has left from a stopped session.

    Args:
        conf: Settings that must reach Java before it starts.
        log_file: Where all that Java prints goes.

    Returns:
        What `SparkContext` takes as `gateway`; None where this pyspark has no such way in.

    Raises:
        PySparkException, OSError: Java does not start.
    """
    from pyspark import SparkContext

    launch = _launcher()
    if launch is None or not hasattr(SparkContext, "_gateway"):
        return None
    gateway: Any = SparkContext._gateway  # a stopped session leaves its Java behind
    if gateway is None:
        with log_file.open("ab") as log:
            gateway = launch(conf, {"stdout": log, "stderr": log})
        atexit.register(_end_java, gateway)
    return gateway


def _launcher() -> Callable[..., Any] | None:
    """pyspark's own function that starts Java, if it still lets its caller say where the output goes."""
    try:
        from pyspark import java_gateway
    except ImportError:
        return None
    launch: Any = getattr(java_gateway, "launch_gateway", None)
    takes_streams = launch is not None and "popen_kwargs" in inspect.signature(launch).parameters
    return launch if takes_streams else None


def _end_java(gateway: Any) -> None:
    """Java ends with its standard input; waiting lets it remove its files before the scratch folder goes.

    The connection is closed before: Python would complain of every object that it gives back to a Java that is gone.
    """
    with contextlib.suppress(Exception):
        gateway.shutdown()
    process: subprocess.Popen[bytes] | None = vars(gateway).get("proc")  # an unknown attribute would be asked of Java
    if process is None:
        return
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=60)
