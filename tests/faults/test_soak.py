"""A month of nights, some of them killed on the way, against a plain model of what readers must find."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults.shop import FIRST_DAY, Model, Shop, changed, replayed, vectors
from pyspark.sql import SparkSession

from drq_spark.errors import Overtaken
from drq_spark.schemas import CURRENT_SIDS
from drq_spark.store import Store

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
    shop.run(spark, 0, night=False)
    for day in range(NIGHTS):
        if day:
            shop.items = changed(random, shop.items, gone, day)
            killed_and_done_again(spark, shop, day, random)
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
    pointer = shop.table("published")[0]
    assert pointer["run_date"] == FIRST_DAY + timedelta(days=NIGHTS - 1)


def killed_and_done_again(spark: SparkSession, shop: Shop, day: int, random: np.random.Generator) -> None:
    """A night that dies at some write, and is started again until it ends."""
    before = shop.readers()
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
