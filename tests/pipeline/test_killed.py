"""Runs that are really killed, Java and all: readers notice nothing, the next attempt ends as if nothing had been."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pipeline.catalogues import listing
from pipeline.nights import command
from pipeline.reference import codes_of, rows_of

from drq_spark import pipeline, steps
from drq_spark.schemas import TABLES

pytestmark = pytest.mark.timeout(1800)

RUNNER = """
import os, signal, sys
from drq_spark import session
from drq_spark.cli import main
from drq_spark.store import Store

write, deadly = Store.write, sys.argv[1]

def killed(self, table, *more):
    if table.name == deadly:
        os.killpg(os.getpgrp(), signal.SIGKILL)
    return write(self, table, *more)

Store.write = killed
session.local_session("killed", master="local[2]", memory="1g", shuffle_partitions=4)
main(sys.argv[2:])
"""
OF_THE_ATTEMPT = {"seconds", "table_versions", "started_at", "sids_version", "config"}  # config names the folder


def run_killed(before_table, arguments):
    """A run in a process group of its own that is killed right before it writes a table."""
    line = [sys.executable, "-c", RUNNER, before_table, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    reply = subprocess.run(line, start_new_session=True, capture_output=True, env=environment, text=True, check=False)
    assert reply.returncode == -signal.SIGKILL, reply.stderr[-4000:]


def content(out, run_id):
    """Rows of a run in every table, as text in order, without what belongs to the attempt."""
    found = {}
    for table in (table for table in TABLES if (out / "tables" / table.name).exists()):
        rows = [{k: v for k, v in row.items() if k not in OF_THE_ATTEMPT} for row in rows_of(out, table.name, run_id)]
        found[table.name] = sorted(repr(row) for row in rows)
    return found


def published_codes(out):
    """What a reader sees: the run, and its codes at the version that the pointer names."""
    pointer = DeltaTable(str(out / "tables" / "published")).to_pyarrow_table().to_pylist()[0]
    sids = DeltaTable(str(out / "tables" / "sids"), version=pointer["sids_version"])
    rows = sids.to_pyarrow_table(filters=[("run_id", "=", pointer["run_id"])]).to_pylist()
    return pointer["run_id"], {row["item_id"]: tuple(row["codes"]) for row in rows}


@pytest.fixture(scope="module")
def out(nights, tmp_path_factory):
    """The folder as the first night left it."""
    return Path(shutil.copytree(nights.after_first, tmp_path_factory.mktemp("killed") / "out"))


def test_a_killed_run_leaves_readers_alone_and_ends_like_one_that_was_not_killed(nights, out, monkeypatch):
    first, second = nights.first.run_id, nights.second
    arguments = ["run", "--out", str(out), "--run-date", second.date, *second.arguments]
    before = first, codes_of(nights.out, first)

    run_killed("sid_quarantine", arguments)  # in the middle of assign: the SIDs are written, their quarantine is not
    assert rows_of(out, "sids", second.run_id)
    assert not rows_of(out, "sid_quarantine", second.run_id)
    assert published_codes(out) == before

    arguments[4] = "2026-07-07"  # on another day it is still the same run
    run_killed("published", arguments)  # everything is there, only the pointer has not moved
    assert [row["status"] for row in rows_of(out, "runs", second.run_id)] == ["passed"]
    assert published_codes(out) == before

    save = pipeline.save_run

    def fails_at_the_end(store, state):
        if state.status == "published":
            raise RuntimeError("lost")
        save(store, state)

    with monkeypatch.context() as patch:
        for module in (pipeline, steps):
            patch.setattr(module, "save_run", fails_at_the_end)
        with pytest.raises(RuntimeError, match="lost"):
            command(arguments)
    assert published_codes(out)[0] == second.run_id

    assert command(arguments)[0] == 0
    assert published_codes(out) == (second.run_id, codes_of(nights.out, second.run_id))
    assert content(out, second.run_id) == content(nights.out, second.run_id)
    assert content(out, first) == content(nights.out, first)
    assert {row["run_id"] for row in DeltaTable(str(out / "tables" / "runs")).to_pyarrow_table().to_pylist()} == {
        first,
        second.run_id,
    }
    assert not any("staging" in name for name in listing(out))
