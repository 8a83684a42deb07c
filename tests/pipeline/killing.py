"""Runs that are really killed, Java and all, and what a reader finds afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from deltalake import DeltaTable
from pipeline.reference import rows_of

from drq_spark.schemas import LEASE, TABLES

RUNNER = """
import os, signal, sys
from drq_spark import session
from drq_spark.cli import main
from drq_spark.store import Store

write, deadly = Store.write, sys.argv[1]

def killed(self, table, *more, **named):
    if table.name == deadly:
        os.killpg(os.getpgrp(), signal.SIGKILL)
    return write(self, table, *more, **named)

Store.write = killed
session.local_session("killed", master="local[2]", memory="1g", shuffle_partitions=4, small_data=True)
main(sys.argv[2:])
"""
OF_THE_ATTEMPT = {"seconds", "table_versions", "started_at", "taken_up_at", "sids_version", "config"}


def run_killed(before_table, arguments):
    """A run in a process group of its own that is killed right before it writes a table."""
    line = [sys.executable, "-c", RUNNER, before_table, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    reply = subprocess.run(line, start_new_session=True, capture_output=True, env=environment, text=True, check=False)
    assert reply.returncode == -signal.SIGKILL, reply.stderr[-4000:]


def content(out, run_id):
    """Rows of a run in every table, as text in order, without what belongs to the attempt."""
    found = {}
    for table in (table for table in TABLES if table != LEASE and (out / "tables" / table.name).exists()):
        rows = [{k: v for k, v in row.items() if k not in OF_THE_ATTEMPT} for row in rows_of(out, table.name, run_id)]
        found[table.name] = sorted(repr(row) for row in rows)
    return found


def published_codes(out):
    """What a reader sees: the run, and its codes at the version that the pointer names."""
    pointer = DeltaTable(str(out / "tables" / "published")).to_pyarrow_table().to_pylist()[0]
    sids = DeltaTable(str(out / "tables" / "sids"), version=pointer["sids_version"])
    rows = sids.to_pyarrow_table(filters=[("run_id", "=", pointer["run_id"])]).to_pylist()
    return pointer["run_id"], {row["item_id"]: tuple(row["codes"]) for row in rows}
