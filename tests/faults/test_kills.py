"""Runs and nights whose process is really killed, Java and all, at every commit and in the midst of the MERGE."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable
from faults.shop import FIRST_DAY, Shop, changed, vectors
from pipeline.killing import content
from pyspark.sql import SparkSession

RUNNER = """
import json, os, signal, sys, threading, time
from datetime import date, datetime, timezone
from drq_spark import pipeline, session
from drq_spark.config import load_config
from drq_spark.store import Store

method, table, when = sys.argv[1:4]

def die():
    os.killpg(os.getpgrp(), signal.SIGKILL)

def deadly(before):
    def call(self, target, *more, **named):
        if target.name != table:
            return before(self, target, *more, **named)
        if when == "before":
            die()
        if when.endswith("into it"):
            threading.Timer(float(when.split()[0]), die).start()
        done = before(self, target, *more, **named)
        if when != "before":
            time.sleep(0 if when == "after" else 60)
            die()
        return done
    return call

setattr(Store, method, deadly(getattr(Store, method)))
spark = session.local_session("killed", master="local[2]", memory="1g", shuffle_partitions=4, small_data=True)
config, now = load_config(options=json.loads(sys.argv[4])), datetime.now(timezone.utc)
pipeline.run_all(spark, config, date.fromisoformat(sys.argv[5]), now, night=sys.argv[6] == "night")
"""
KILLS = [
    ("run", "write", "sample", "before"),
    ("run", "write", "sids", "after"),
    ("run", "write", "assignment_totals", "before"),
    ("run", "write", "metrics", "after"),
    ("run", "write", "current_sids", "before"),
    ("run", "write", "current_sids", "after"),
    ("run", "write", "published", "after"),
    ("night", "write", "night_sids", "before"),
    ("night", "write", "night_sids", "after"),
    ("night", "write", "sid_quarantine", "before"),
    ("night", "write", "metrics", "before"),
    ("night", "put_version", "sid_changes", "after"),
    *[("night", "merge", "current_sids", f"{seconds} s into it") for seconds in (0.3, 1, 3)],
    ("night", "merge", "current_sids", "after"),
    ("night", "write", "published", "before"),
]
pytestmark = [pytest.mark.faults, pytest.mark.spark, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def undisturbed(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shop]:
    """A shop after its first run, and after the night that follows."""
    folder, random = tmp_path_factory.mktemp("kills"), np.random.default_rng(3)
    items = {f"item-{n:03d}": vector for n, vector in enumerate(vectors(random, 150))}
    # the same items lie in files of other times in each folder: their content makes the runs of two folders one
    settings = {"collisions.policy": "spread", "collisions.candidates": 8, "items.identity": "content"}
    shop = Shop(folder / "out", items, settings)
    shop.run(spark, 0, night=False)
    first = Shop(Path(shutil.copytree(shop.out, folder / "first")), items, shop.settings)
    later = Shop(shop.out, changed(random, items, {}, 1), shop.settings)
    later.run(spark, 1)
    return {"run": first, "night": later}


@pytest.mark.parametrize("kill", KILLS, ids=" ".join)
def test_readers_find_whole_nights_and_the_next_try_ends_as_if_nothing_had_been(
    spark: SparkSession, undisturbed: dict[str, Shop], tmp_path: Path, kill: tuple[str, str, str, str]
) -> None:
    word, *where = kill
    whole, day = undisturbed[word], 0 if word == "run" else 1
    shop = Shop(tmp_path / "out", whole.items, whole.settings)
    if day:
        shutil.copytree(undisturbed["run"].out, shop.out)
    before = shop.readers() if day else {}
    killed(shop, day, *where)
    if (shop.out / "tables" / "current_sids").exists():
        assert shop.readers() in (before, whole.readers())
    shop.run(spark, day, night=bool(day))
    run_id = shop.table("published")[0]["run_id"]
    assert run_id == whole.table("published")[0]["run_id"]
    assert shop.readers() == whole.readers()
    assert content(shop.out, run_id) == content(whole.out, run_id)
    assert not list(shop.out.glob("staging/*"))


def killed(shop: Shop, day: int, method: str, table: str, when: str) -> None:
    """A run in a process group of its own, which dies."""
    words = [json.dumps(shop.arguments(day)), str(FIRST_DAY + timedelta(days=day)), "night" if day else "run"]
    line = [sys.executable, "-c", RUNNER, method, table, when, *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    reply = subprocess.run(line, start_new_session=True, capture_output=True, env=environment, text=True, check=False)
    assert reply.returncode == -signal.SIGKILL, reply.stderr[-4000:]


def test_a_reader_that_polls_finds_whole_nights_only(spark: SparkSession, undisturbed: dict[str, Shop]) -> None:
    """Every version of current_sids, as another engine finds it, is a whole night."""
    table = undisturbed["night"].out / "tables" / "current_sids"
    latest = DeltaTable(str(table)).version()
    found = [
        {row["run_id"] for row in DeltaTable(str(table), version=v).to_pyarrow_table().to_pylist()}
        for v in range(latest + 1)
    ]
    assert [len(ids) for ids in found] == [0, 1, 2]
