"""Errors of Spark, Java and the file system that a user can mend, in one line; all others stay as they are."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from drq_spark import errors
from drq_spark.errors import ConfigError, DrqError, InputRefused, SetupError

_FULL = r"No space left on device|Disk quota exceeded|There is not enough space on the disk"
_CONNECTOR = (
    r"No FileSystem for scheme:? \"?(?P<scheme>[\w+.-]+)"
    r"|ClassNotFoundException: (?:Class )?[\w.]*\.fs\.(?P<package>\w+)\.\w+"
)
_GONE = (
    r"FILE_NOT_EXIST|DELTA_FILE_NOT_FOUND|DELTA_TRUNCATED_TRANSACTION_LOG|SparkFileNotFoundException"
    r"|\[FAILED_READ_FILE|is not a Parquet file"
)
_RAISED = r"drq_spark\.errors\.(?P<kind>\w+): (?P<says>[^\n]+)"  # by a Python worker, at the end of its traceback
_EXTRAS = {
    "pyspark": "spark,delta", "py4j": "spark,delta", "delta": "delta", "pandas": "report", "scipy": "report",
    "jinja2": "report", "threadpoolctl": "report", "matplotlib": "report", "torch": "train",
}  # fmt: skip
"""The extra that brings a package."""
_FILE = re.compile(r"(?:reading file|[Ff]ile) '?((?:[a-z][\w+.-]*:)?/[^\s']*?)'?[.,]?(?:\s|$)")


def explained(error: BaseException) -> DrqError | None:
    """What an error comes down to; None where it is none that a user can mend.

    Java's text is taken with all its causes, as Spark hands it on.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _no_space(str(error))
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return ConfigError(f"a file cannot be written or read: {' '.join(str(error).split())}")
    if isinstance(error, ModuleNotFoundError) and (package := (error.name or "").split(".")[0]) in _EXTRAS:
        return missing_package(package)
    text = str(error)
    return next((explain(text) for pattern, explain in _RULES if re.search(pattern, text)), None)


@contextmanager
def outside_faults_explained() -> Iterator[None]:
    """Raise what a user can mend as one of our errors; it keeps where it came from."""
    try:
        yield
    except DrqError:
        raise
    except Exception as error:
        if (told := explained(error)) is None:
            raise
        raise told from error


def setup_fault(error: BaseException) -> SetupError | None:
    """The same, where the machine or the cluster lacks something, whatever table or path was asked for."""
    found = explained(error)
    return found if isinstance(found, SetupError) else None


def missing_package(package: str) -> SetupError:
    """What to install where a package is missing that an extra brings."""
    return SetupError(f"{package} is not installed: pip install 'drq-spark[{_EXTRAS[package]}]' brings it")


def _no_space(text: str) -> SetupError:
    return SetupError(
        "no space is left on a disk: free some where --out lies and where temporary files go (spark.local.dir, "
        "TMPDIR), then run the same command again"
    )


def _no_connector(text: str) -> SetupError:
    found = re.search(_CONNECTOR, text)
    scheme = found and (found["scheme"] or found["package"])
    return SetupError(
        f"Spark has no connector for {scheme}:// addresses: add its jar to the session "
        "(--packages of spark-submit, spark.jars.packages), such as org.apache.hadoop:hadoop-aws for s3a://"
    )


def _no_delta(text: str) -> SetupError:
    return SetupError(
        "this Spark has no Delta Lake: give spark-submit --packages io.delta:delta-spark_4.2_2.13:4.4.0 (4.2 is the "
        "version of Spark) --conf spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension "
        "--conf spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog"
    )


def _gone(text: str) -> InputRefused:
    file = _FILE.search(text)
    named = f" ({file[1]})" if file else ""
    return InputRefused(
        f"a file that was there when the run began is gone or was written again{named}: "
        "run the same command again when nobody writes to its tables"
    )


def _of_a_worker(text: str) -> DrqError:
    found = re.search(_RAISED, text)
    assert found is not None
    kind: type[DrqError] = getattr(errors, found["kind"])
    return kind(found["says"].strip())


_RULES: tuple[tuple[str, Callable[[str], DrqError]], ...] = (
    (_FULL, _no_space),
    (r"(?i)DATA_SOURCE_NOT_FOUND\][^\n]*\bdelta\b", _no_delta),
    (_CONNECTOR, _no_connector),
    (_GONE, _gone),
    (_RAISED, _of_a_worker),
)
