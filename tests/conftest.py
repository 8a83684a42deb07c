"""Fixtures for all tests: one Spark session per run, started by the first test that asks for it.

Tests that need Spark or Java carry the marker `spark`; `make test-fast` leaves them out. Who asks for one of the
fixtures here, directly or not, is marked without further ado; who starts a process with Java in it marks itself.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Half the processor time for queries as short as these; one compiler alone is given too little room for its code.
QUICK_JAVA = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"
OF_SPARK = {"spark", "run_connect"}
NO_JAVA = "/a test that is not marked spark"

# Property tests that name no number of examples: 100 in `make test-random` and `make canary`, which nobody waits for.
settings.register_profile("quick", max_examples=40)
settings.register_profile("thorough", max_examples=100)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


LONGEST = (
    "pipeline/test_nights.py",
    "pipeline/test_nightly.py",
    "external/test_measure_sids.py",
    "jobs/test_submit.py",
    "pipeline/test_layout.py",
    "pipeline/test_compare.py",
    "cli/test_refusals.py",
    "plan/test_planner.py",
    "pipeline/test_workers.py",
    "measure/test_retrieval.py",
    "local/test_session.py",
    "notebooks/test_notebooks.py",
    "report/test_render.py",
)
"""Files with whole runs; they come first, so that no process is left alone with one of them at the end."""
SHARED_RUNS = "tests/pipeline/nights.py"
OF_SHARED_RUNS = {"tests/pipeline/test_nights.py", "tests/pipeline/test_nightly.py"}
"""Files that take the same runs from a fixture of the session, of which there is one a process."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the notebooks that the tests run leave their pages."""
    parser.addoption("--notebook-pages", metavar="DIR", type=Path, help="leave the pages of notebooks for `make site`")


def pytest_configure() -> None:
    """All Java processes of the tests, those of scripts included, start quickly, and threads sleep as in a run."""
    from drq_spark.errors import SetupError
    from drq_spark.idle_threads import let_idle_threads_sleep
    from drq_spark.local.class_archive import class_archive, with_archive
    from drq_spark.local.java import find_java

    let_idle_threads_sleep()  # many files of tests load torch before the package does
    options = QUICK_JAVA
    with suppress(SetupError):  # the fast tests need no Java
        options = " ".join([QUICK_JAVA, *with_archive(class_archive(find_java()))])
    for name in ("SPARK_SUBMIT_OPTS", "SPARK_LAUNCHER_OPTS"):
        os.environ.setdefault(name, options)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Files go to a process each as a whole, and those that share whole runs go together: else each has them made."""
    from xdist.scheduler import LoadFileScheduling

    class BySharedRuns(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = str(super()._split_scope(nodeid))
            return SHARED_RUNS if file in OF_SHARED_RUNS else file

    return BySharedRuns(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that ask for a session; the longest files first."""
    for item in items:
        if OF_SPARK & set(getattr(item, "fixturenames", ())):
            item.add_marker("spark")
    here = Path(__file__).parent
    rank = {here / file: place for place, file in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """With --cov: the share of the package's lines that were run, and the files where it is lowest."""
    if not config.pluginmanager.has_plugin("_cov"):
        return
    for line in coverage_lines():
        terminalreporter.write_line(line)


def coverage_lines(count: int = 10) -> list[str]:
    """The total and the files least covered, from the data that pytest-cov has put together."""
    from coverage import Coverage

    data = Coverage()
    data.load()
    counted = []
    for file in data.get_data().measured_files():
        if not file.endswith(".py"):  # compiled templates bear the templates' names
            continue
        _, lines, _, missed, _ = data.analysis2(file)
        if lines:
            counted.append((1 - len(missed) / len(lines), len(missed), len(lines), os.path.relpath(file)))
    if not counted:
        return ["coverage: no line of the package was run"]
    missed, lines = (sum(row[column] for row in counted) for column in (1, 2))
    least = [f"{share:7.1%}  {file}" for share, _, _, file in sorted(counted)[:count]]
    return [f"coverage {1 - missed / lines:.1%} of {lines:,} lines; the files least covered:", *least]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Without the marker there is no Java to be found, so that no test can need one unnoticed."""
    if item.get_closest_marker("spark"):
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", NO_JAVA)
        return (yield)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The local session of the package itself: two cores, four tasks after a shuffle, a scratch warehouse."""
    from drq_spark.session import local_session

    scratch = tmp_path_factory.mktemp("spark")
    session = local_session(
        "tests", master="local[2]", memory="2g", shuffle_partitions=4, small_data=True, scratch=scratch
    )
    yield session
    session.stop()


CONNECT_SESSION = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.remote("local[2]").getOrCreate()
"""


@pytest.fixture
def run_connect(tmp_path: Path) -> Callable[[str], str]:
    """Run a script in a process of its own, where `spark` is a Spark Connect session with Delta; what it prints.

    Connect and an ordinary session cannot live in one process. Delta must be on Java's class path when it starts.
    """
    from drq_spark.local.spark_settings import local_settings

    settings = local_settings(tmp_path / "connect", memory="1g", shuffle_partitions=4, small_data=True)
    arguments = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    environment = {
        **os.environ,
        "PYSPARK_SUBMIT_ARGS": shlex.join([*arguments, "pyspark-shell"]),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_TESTING": "1",  # any free port
    }

    def run(script: str) -> str:
        command = [sys.executable, "-c", CONNECT_SESSION + script]
        reply = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert reply.returncode == 0, reply.stderr[-4000:]
        return reply.stdout

    return run
