"""A month of nights, some of them killed on the way, against a plain model of what readers must find."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults.shop import FIRST_DAY, Model, Place, Shop, changed, replayed, vectors
from pyspark.sql import SparkSession

from drq_spark import pipeline
from drq_spark.errors import Overtaken
from drq_spark.progress import SILENT
from drq_spark.runs import open_run, resume
from drq_spark.schemas import CURRENT_SIDS, METRICS, RUNS, SID_CHANGES
from drq_spark.store import Store
from drq_spark.upkeep.vacuum import clear, clearance

NIGHTS = 30
STEPS = ("write", "put_version", "merge")


class Killed(BaseException):
    """The process is gone."""


def dying(random: np.random.Generator, store: Callable[..., Any], calls: list[int]) -> Callable[..., Any]:
    """A method of `Store` that ends its process at one of its calls, before its work or right after it."""
    after = bool(random.integers(2))

    def method(self: Store, *more: Any, **named: Any) -> Any:
        calls[0] -= 1
        if calls[0] == 0 and not after:
            raise Killed
        done = store(self, *more, **named)
        if calls[0] == 0:
            raise Killed
        return done

    return method


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("policy", ["suffix", "spread"])
def test_a_month_of_nights(spark: SparkSession, tmp_path: Path, policy: str) -> None:
    random = np.random.default_rng(len(policy))
    shop = Shop(tmp_path / "out", {f"item-{n:03d}": v for n, v in enumerate(vectors(random, 150))})
    shop.settings = {"collisions.policy": policy, "collisions.candidates": 8}
    model, gone = Model(spread=policy == "spread"), dict[str, Any]()
    sizes: list[int] = []
    shop.run(spark, 0, night=False)
    for day in range(NIGHTS):
        if day:
            shop.items = changed(random, shop.items, gone, day)
            killed_and_done_again(spark, shop, day, random)
        if day in (0, 15, NIGHTS - 1):
            cleared(spark, shop, keep=2)
            sizes.append(bytes_of(shop))
        model.follow(shop.readers(), shop.items, shop.tokenizer(), day)
        version = Store(spark, str(shop.out)).version(CURRENT_SIDS)
        assert replayed(shop.table("sid_changes"), version) == shop.readers()
        if day % 7 == 3:
            again = shop.run(spark, day)
            assert again.repeated
            assert Store(spark, str(shop.out)).version(CURRENT_SIDS) == version
            with pytest.raises(Overtaken):
                Shop(shop.out, {**shop.items, "late": (1.0,) * 6}, shop.settings).run(spark, day - 2)
            assert Store(spark, str(shop.out)).version(CURRENT_SIDS) == version
    assert max(sizes) <= 2 * sizes[0], f"storage grows: {sizes}"
    pointer = shop.table("published")[0]
    assert pointer["run_date"] == FIRST_DAY + timedelta(days=NIGHTS - 1)


@contextmanager
def polled(shop: Shop) -> Iterator[list[dict[str, Place]]]:
    """What another engine finds in current_sids, again and again while the work inside goes on."""
    seen: list[dict[str, Place]] = []
    ended = threading.Event()

    def poll() -> None:
        while not ended.is_set():
            found = shop.readers()
            if found not in seen:
                seen.append(found)
            ended.wait(0.2)

    with ThreadPoolExecutor(1) as reader:
        polling = reader.submit(poll)
        try:
            yield seen
        finally:
            ended.set()
            polling.result()


def cleared(spark: SparkSession, shop: Shop, keep: int) -> None:
    """`drq vacuum --keep .. --retain-hours 0 --optimize --yes`."""
    run = open_run(Store(spark, str(shop.out)), None, SILENT)
    with run.tidied():
        clear(run, clearance(run, keep), retain_hours=0, optimize=True)


def bytes_of(shop: Shop) -> int:
    """Bytes of all data files but those of the tables that grow by a few rows a night, for they are the history."""
    files = (shop.out / "tables").rglob("*.parquet")
    grown = {table.name for table in (METRICS, RUNS, SID_CHANGES)}
    parts = ((file, file.relative_to(shop.out / "tables").parts) for file in files)
    return sum(file.stat().st_size for file, names in parts if names[0] not in grown and "_delta_log" not in names)


def killed_and_done_again(spark: SparkSession, shop: Shop, day: int, random: np.random.Generator) -> None:
    """A night that dies at some write, and is started again until it ends."""
    before = shop.readers()
    with polled(shop) as seen:
        _killed_and_done_again(spark, shop, day, random, before)
    after = shop.readers()
    assert seen
    assert all(found in (before, after) for found in seen), "a reader that polls found half a night"


def _killed_and_done_again(
    spark: SparkSession, shop: Shop, day: int, random: np.random.Generator, before: dict[str, Place]
) -> None:
    for _ in range(int(random.integers(3))):
        with pytest.MonkeyPatch.context() as patch:
            calls = [int(random.integers(1, 9))]
            for step in STEPS:
                patch.setattr(Store, step, dying(random, getattr(Store, step), calls))
            try:
                shop.run(spark, day)
            except Killed:
                found = shop.readers()
                assert found == before or set(found) == set(shop.items), "readers find half a night"
    shop.run(spark, day)


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_two_channels_side_by_side(spark: SparkSession, tmp_path: Path) -> None:
    """Three nights of both, in which each has a model of its own; then live is given the other's last, and goes on."""
    random = np.random.default_rng(9)
    live = Shop(tmp_path / "out", {f"item-{n:03d}": v for n, v in enumerate(vectors(random, 150))})
    models, gone = {"live": Model(spread=False), "next": Model(spread=False)}, dict[str, Any]()
    last, given_on = 5, 3
    for day in range(last + 1):
        live.items = changed(random, live.items, gone, day) if day else live.items
        other = Shop(live.out, live.items, {"store.channel": "next", "train.stability.budget": 0.5}, "_next")
        live.run(spark, day, night=bool(day))
        if 0 < day <= given_on:
            before = live.readers()
            other.run(spark, day, retrain=day == 1)
            assert live.readers() == before
            models["next"].follow(other.readers(), other.items, other.tokenizer(), day)
        if day <= given_on:
            models["live"].follow(live.readers(), live.items, live.tokenizer(), day)
        if day == given_on:
            given(spark, other)
            assert live.readers() == other.readers()
        if day > given_on:  # as if it had been next all the time
            models["next"].follow(live.readers(), live.items, live.tokenizer(), day)
        version = Store(spark, str(live.out)).version(CURRENT_SIDS)
        assert replayed(live.table("sid_changes"), version) == live.readers()


def given(spark: SparkSession, shop: Shop) -> None:
    """What the readers of a channel follow is given to those of live."""
    run = resume(Store(spark, str(shop.out)), shop.table("published_next")[0]["run_id"], SILENT, "live")
    with run.tidied():
        pipeline.publish(run, back=True)
