"""Starting Spark in this machine's Java: quietly where pyspark lets us, else with Spark's own messages in a file."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from drq_spark.errors import SetupError
from drq_spark.local.quiet_start import quiet_gateway

if TYPE_CHECKING:
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

_LOG4J = """\
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = {log_file}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{yy/MM/dd HH:mm:ss}} %p %c{{1}}: %m%n%ex
"""


def temporary_folder() -> Path:
    """A new folder that goes when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="drq-spark-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def start(app_name: str, master: str, settings: Mapping[str, str], folder: Path) -> SparkSession:
    """Start Java and Spark in it, and end both with this process.

    Args:
        app_name: Name of the application.
        master: As for `drq_spark.session.local_session`.
        settings: All settings of Spark; none are read from elsewhere.
        folder: Where `spark.log` goes, with what Spark and Java say.

    Raises:
        SetupError: Spark does not start; one line, the first fault of its log.
    """
    from pyspark import SparkConf
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    _prepare_environment()
    logging.getLogger("py4j").setLevel(logging.WARNING)  # it tells of every connection that closes
    log_file = folder / "spark.log"
    conf = SparkConf(loadDefaults=False).setAppName(app_name).setMaster(master).setAll(list(settings.items()))
    try:
        session = SparkSession(_context(conf, log_file))
    except (PySparkException, OSError) as error:
        raise SetupError(f"Spark does not start: {_first_fault(log_file) or error}") from None
    atexit.register(_stop, session)  # before Java ends: Python's side complains of connections that break
    return session


def _context(conf: SparkConf, log_file: Path) -> SparkContext:
    from pyspark import SparkContext

    gateway = quiet_gateway(conf, log_file)
    if gateway is not None:
        return SparkContext(conf=conf, gateway=gateway)
    properties = log_file.with_name("log4j2.properties")
    properties.write_text(_LOG4J.format(log_file=log_file), encoding="utf-8")
    options = f'{conf.get("spark.driver.extraJavaOptions", "")} "-Dlog4j2.configurationFile={properties}"'
    return SparkContext(conf=conf.set("spark.driver.extraJavaOptions", options))


def _prepare_environment() -> None:
    """Set what Spark reads from the environment only, and what a laptop often has wrong."""
    import pyspark

    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")  # a laptop's host name need not resolve
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    home = Path(pyspark.__file__).parent
    if (home / "jars").is_dir():  # another Spark in SPARK_HOME would run jars of another version
        os.environ["SPARK_HOME"] = str(home)


def _stop(session: SparkSession) -> None:
    with contextlib.suppress(Exception):  # the process ends; Java may be gone already
        session.stop()


def _first_fault(log_file: Path) -> str:
    lines = log_file.read_text(encoding="utf-8", errors="replace").splitlines() if log_file.exists() else []
    faults = (line.strip() for line in lines if re.search(r"(?i)error|exception|could not|unrecognized|invalid", line))
    return next(faults, "")[:200]
