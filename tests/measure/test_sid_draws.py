"""Draws of SIDs with replacement: Spark against numpy, under any partitioning; frequencies."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from drq_spark.formulas.noise import uniforms
from drq_spark.measure.capacity.sid_draws import arrivals, draw_sids

SIDS, DRAWS, SEED = 3000, 500, 5


@pytest.fixture(scope="module")
def masses(spark):
    """Two big SIDs, many small ones, some without exposure."""
    rng = np.random.default_rng(2)
    items = np.concatenate([[4000, 900], rng.integers(1, 4, SIDS - 2)])
    exposure = np.concatenate([[0.0, 5e4], rng.choice([0.0, 1.0, 30.0], SIDS - 2)])
    table = pa.table({"sid": np.arange(SIDS) * 7, "items": items, "exposure": exposure})
    return spark.createDataFrame(table).cache(), table


def slow_draws(keys: dict[int, int], table: pa.Table, weighting: str, draws: int) -> dict[int, int]:
    """One SID after another, one arrival after another."""
    weights = table[weighting].to_numpy().astype(float)
    found = {}
    for sid, weight in zip(table["sid"].to_pylist(), weights.tolist(), strict=True):
        key = keys[sid] % 2**64
        now, until, count = -np.log1p(-((key >> 11) + 0.5) / 2**53), weight * (draws / weights.sum()), 0
        while now < until:
            count += 1
            now -= np.log1p(-uniforms(np.array([key], np.uint64), 1, count)[0, 0])
        if count:
            found[sid] = count
    return found


@pytest.mark.parametrize("weighting", ["items", "exposure"])
def test_draws_are_the_same_for_every_partitioning_and_those_of_a_loop(masses, weighting):
    df, table = masses
    keys = {row.sid: row.key for row in df.select("sid", F.xxhash64(F.lit("draw"), "sid", F.lit(SEED)).alias("key"))
            .collect()}  # fmt: skip
    expected = slow_draws(keys, table, weighting, DRAWS)
    assert sum(expected.values()) == pytest.approx(DRAWS, abs=4 * DRAWS**0.5)
    total = float(table[weighting].to_numpy().sum())
    for partitions in (1, 3, 7):
        drawn = draw_sids(df.repartition(partitions), weighting, total, DRAWS, SEED)
        assert dict(zip(drawn.sid.tolist(), drawn.times.tolist(), strict=True)) == expected
        assert (np.diff(drawn.sid) > 0).all()


def test_other_seeds_draw_others(masses):
    df, table = masses
    total = float(table["items"].to_numpy().sum())
    first, second = (set(draw_sids(df, "items", total, DRAWS, seed).sid.tolist()) for seed in (1, 2))
    assert len(first & second) < 0.7 * len(first)


def test_draws_go_by_exposure(masses):
    """Over many seeds: the mean is n p, and the variance that of a Poisson number."""
    df, table = masses
    exposure = table["exposure"].to_numpy()
    total, runs = float(exposure.sum()), 25
    counts = np.zeros((runs, SIDS))
    for seed in range(runs):
        drawn = draw_sids(df, "exposure", total, DRAWS, seed)
        counts[seed, drawn.sid // 7] = drawn.times
    assert (counts[:, exposure == 0] == 0).all()
    for value in (1.0, 30.0, 5e4):
        expected = DRAWS * exposure[exposure == value].sum() / total
        assert counts[:, exposure == value].sum() / runs == pytest.approx(expected, abs=4 * (expected / runs) ** 0.5)


def test_arrivals_are_poisson():
    keys, until = np.arange(40_000, dtype=np.uint64), 3.7
    counts = arrivals(keys, -np.log1p(-uniforms(keys, 1, 0)[:, 0]), np.full(len(keys), until))
    probability = np.exp(-until)
    for count in range(9):
        expected = probability * len(keys)
        assert (counts == count).sum() == pytest.approx(expected, abs=4 * expected**0.5)
        probability *= until / (count + 1)


def test_nothing_to_draw(spark, masses):
    drawn = draw_sids(masses[0].where("sid < 0"), "items", 1.0, DRAWS, SEED)
    assert drawn.sid.shape == drawn.times.shape == (0,)
