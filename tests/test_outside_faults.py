"""What Spark, Java and the disk say, as one line that tells what to do."""

from __future__ import annotations

import errno

import pytest
from pipeline.nights import command
from runs_in_hand import state_of

from drq_spark.cli import application
from drq_spark.config import load_config
from drq_spark.errors import Busy, ConfigError, InputRefused, SetupError
from drq_spark.inputs.tables import unreadable_refused
from drq_spark.outside_faults import explained, setup_fault
from drq_spark.progress import SILENT
from drq_spark.runs import Run
from drq_spark.store import Store

JOB = "An error occurred while calling o80.save.\n: org.apache.spark.SparkException: Job aborted due to stage failure: "
READING = JOB + "[FAILED_READ_FILE.{}] Encountered error while reading file {}. {}"
KNOWN = {
    "disk of Java": (
        JOB + "Task 0\n\tat x\nCaused by: java.io.IOException: No space left on device\n\t... 3 more",
        SetupError,
        "no space is left on a disk",
    ),
    "quota of Java": (JOB + "java.io.IOException: Disk quota exceeded", SetupError, "no space is left on a disk"),
    "no connector for s3a": (
        "o30.load.\n: java.lang.RuntimeException: java.lang.ClassNotFoundException: Class "
        "org.apache.hadoop.fs.s3a.S3AFileSystem not found\n\tat org.apache.hadoop.conf",
        SetupError,
        "no connector for s3a://",
    ),
    "no connector for gs": (
        'org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "gs"',
        SetupError,
        "no connector for gs://",
    ),
    "no connector for a scheme with a hyphen": (
        'org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "lake-fs"',
        SetupError,
        "no connector for lake-fs://",
    ),
    "no Delta": (
        "[DATA_SOURCE_NOT_FOUND] Failed to find the data source: delta. Make sure the provider name is correct",
        SetupError,
        "no Delta Lake",
    ),
    "input gone": (
        READING.format("FILE_NOT_EXIST", "file:///data/items/part-0.parquet", "File does not exist."),
        InputRefused,
        "is gone or was written again (file:///data/items/part-0.parquet)",
    ),
    "log of an input cut": (
        "[DELTA_TRUNCATED_TRANSACTION_LOG] file:/data/items/_delta_log/00000000000000000003.json: Unable to "
        "reconstruct state at version 9",
        InputRefused,
        "is gone or was written again",
    ),
    "a Python worker": (
        "[PYTHON_EXCEPTION] An exception was thrown from the Python worker: Traceback (most recent call last):\n"
        '  File "/opt/drq_spark.zip/drq_spark/ship.py", line 51, in value\n    raise SetupError(\n'
        "drq_spark.errors.SetupError: the driver runs drq_spark 2.0, this executor 1.0: ship one version to both\n\n"
        "\tat org.apache.spark.api.python.BasePythonRunner",
        SetupError,
        "the driver runs drq_spark 2.0, this executor 1.0: ship one version to both",
    ),
    "input written over": (
        READING.format("NO_HINT", "file:/data/items/part-0.parquet", " SQLSTATE: KD001\nCaused by: java.lang."
                       "RuntimeException: file:/data/items/part-0.parquet is not a Parquet file."),
        InputRefused,
        "is gone or was written again (file:/data/items/part-0.parquet)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "says"), KNOWN.values(), ids=KNOWN)
def test_what_java_says_in_pages_is_one_line(text, kind, says):
    found = explained(RuntimeError(text))
    assert type(found) is kind
    assert says in str(found)
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    ("number", "kind", "says"),
    [
        (errno.ENOSPC, SetupError, "no space is left"),
        (errno.EDQUOT, SetupError, "no space is left"),
        (errno.EROFS, ConfigError, "Read-only"),
        (errno.EACCES, ConfigError, "report.html"),
        (errno.EPERM, ConfigError, "report.html"),
    ],
)
def test_what_the_file_system_says_is_one_line(number, kind, says):
    words = {errno.EROFS: "Read-only file system"}
    found = explained(OSError(number, words.get(number, "no"), "/out/report.html"))
    assert type(found) is kind
    assert says in str(found)


@pytest.mark.parametrize(
    "error", [KeyError("code"), RuntimeError("Task failed: ZeroDivisionError"), OSError(2, "none")]
)
def test_a_fault_of_ours_keeps_its_traceback(error):
    assert explained(error) is None


def test_what_the_machine_lacks_is_no_fault_of_the_table_that_was_asked_for():
    with pytest.raises(SetupError, match="no connector for s3a"), unreadable_refused("s3a://shop/items", "items table"):
        raise RuntimeError(KNOWN["no connector for s3a"][0])
    assert setup_fault(RuntimeError(KNOWN["input gone"][0])) is None


def test_a_step_raises_it_and_keeps_where_it_came_from():
    run = Run(Store(None, "DIR"), load_config(), state_of("run"), SILENT)
    with pytest.raises(InputRefused, match="was written again") as refused, run.step("assign"):
        raise RuntimeError(KNOWN["input gone"][0])
    assert isinstance(refused.value.__cause__, RuntimeError)
    with pytest.raises(Busy), run.step("assign"):
        raise Busy("No space left on device")


@pytest.mark.parametrize(("name", "code"), [("disk of Java", 1), ("input gone", 3)])
def test_a_command_ends_with_the_line_and_its_code(name, code, monkeypatch):
    def fails(**_):
        raise RuntimeError(KNOWN[name][0])

    monkeypatch.setattr(application, "app", fails)
    ended, _, said = command(["run"])
    assert (ended, said.count("\n")) == (code, 1), said
    assert KNOWN[name][2] in said


def test_a_command_hides_no_fault_of_ours(monkeypatch):
    def fails(**_):
        raise KeyError("code")

    monkeypatch.setattr(application, "app", fails)
    with pytest.raises(KeyError):
        command(["run"])


def test_a_missing_package_names_the_extra_that_brings_it():
    missing = ModuleNotFoundError("No module named 'scipy.stats'", name="scipy.stats")
    assert str(explained(missing)) == "scipy is not installed: pip install 'drq-spark[report]' brings it"
    assert explained(ModuleNotFoundError("No module named 'mine'", name="mine")) is None
