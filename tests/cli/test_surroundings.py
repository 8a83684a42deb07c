"""The option that sets Java's heap."""

from __future__ import annotations

import pytest

from drq_spark import machine_memory, session
from drq_spark.cli import main, surroundings
from drq_spark.config import load_config
from drq_spark.errors import SetupError


@pytest.fixture
def started(monkeypatch):
    """The memory that a session is asked to start with, on a machine of 4 GiB without a cluster."""
    asked = []

    def start(progress, *, small_data, quick_java, memory):
        asked.append(memory)
        raise SetupError("no Java in this test")

    monkeypatch.setattr(session, "session_for_run", start)
    monkeypatch.setattr(session, "has_cluster", lambda: False)
    monkeypatch.setattr(machine_memory, "memory_limit", lambda: 4 * 2**30)
    return asked


def test_every_command_that_starts_spark_takes_it_for_itself_alone(started, tmp_path):
    commands = (
        ["run"],
        ["nightly"],
        ["sample"],
        ["train"],
        ["assign"],
        ["measure"],
        ["publish"],
        ["report"],
        ["plan"],
        ["demo"],
        ["history"],
        ["status"],
    )
    for command in (*commands, ["compare", "--tokenizers", "rq_kmeans"]):
        for more, memory in ((["--driver-memory", "3G"], "3G"), ([], None)):
            assert main([*command, "--out", str(tmp_path), *more]) == 1
            assert started.pop() == memory, command


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("4x", "--driver-memory is '4x'; it takes a whole number of MiB or GiB"),
        ("0g", "it takes a whole number"),
        ("5g", "--driver-memory is 5g, and this machine or container has 4.0 GiB: give less"),
    ],
)
def test_what_is_no_size_or_too_much_is_refused(started, capsys, value, says):
    assert main(["run", "--driver-memory", value]) == 2
    assert says in capsys.readouterr().err
    assert started == []


def test_a_spark_that_runs_already_has_its_memory(started, capsys, monkeypatch):
    monkeypatch.setattr(session, "has_cluster", lambda: True)
    assert main(["run", "--driver-memory", "1g"]) == 2
    assert "one runs already" in capsys.readouterr().err
    assert surroundings._heap.get() is None


def test_little_data_is_local_files_of_little_size(tmp_path, monkeypatch):
    little, much, events = tmp_path / "little", tmp_path / "much", tmp_path / "events"
    for file, size in ((little, 10), (much, 11), (events, 5)):
        file.write_bytes(b"x" * size)
    monkeypatch.setattr(surroundings, "_SMALL", 15)
    monkeypatch.setattr(surroundings, "_MODERATE", 16)
    asked = []
    monkeypatch.setattr(session, "session_for_run", lambda progress, **more: asked.append(more))

    def of_inputs(night=True, **sources):
        settings = load_config(options={f"{name}.path": str(at) for name, at in sources.items()})
        surroundings.session(settings, night=night)
        return asked[-1]["small_data"], asked[-1]["quick_java"]

    assert of_inputs(items=little, events=events) == (True, True)
    assert of_inputs(items=much, events=events) == (False, True)
    assert of_inputs(items=much, events=events, night=False) == (False, False)
    assert of_inputs(items=much, events=much) == (False, False)
    assert of_inputs(items="shop.items") == (False, False)
    assert of_inputs(items=little, events="shop.events") == (False, False)
