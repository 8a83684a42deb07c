"""Draw SIDs with replacement, in proportion to their items or exposure: the same draws under any partitioning.

SID s is drawn Poisson(n w_s / W) times, independently of all others: the arrivals before n w_s / W of a Poisson process
of rate 1 that a hash of (s, seed) fixes. Given their number m (n on average) the draws are independent and each is s
with probability w_s / W, as if m items had been drawn one after another. The first arrival is decided in SQL, so that
only drawn SIDs, about n at most, reach the driver.

Source: Kingman 1993, Poisson Processes (a Poisson number of independent draws splits into independent Poisson counts).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.formulas.noise import uniforms
from drq_spark.hashing import uniform


@dataclass(frozen=True)
class SidDraws:
    """What was drawn.

    Attributes:
        sid: int64 [M], different keys in ascending order.
        times: int64 [M], how often each was drawn, at least 1.
    """

    sid: NDArray[np.int64]
    times: NDArray[np.int64]


def draw_sids(masses: DataFrame, weighting: str, total: float, draws: int, seed: int) -> SidDraws:
    """Draw about `draws` SIDs with replacement.

    Args:
        masses: sid and a column named as the weighting says: the weight w_s, from 0.
        total: W, sum of the weights.

    It takes one pass over the rows of `masses` and no shuffle.
    """
    key = F.xxhash64(F.lit("draw"), "sid", F.lit(seed))
    near = masses.select("sid", key.alias("key"), (F.col(weighting) * F.lit(draws / total)).alias("rate"))
    first = -F.log1p(-uniform(F.col("key")))
    rows = near.withColumn("first", first).where("first < rate").toArrow().sort_by("sid")
    keys = rows["key"].to_numpy().astype(np.int64).view(np.uint64)
    times = arrivals(keys, rows["first"].to_numpy(), rows["rate"].to_numpy())
    return SidDraws(rows["sid"].to_numpy().astype(np.int64), times)


def arrivals(keys: NDArray[np.uint64], first: NDArray[np.float64], until: NDArray[np.float64]) -> NDArray[np.int64]:
    """Arrivals of each key's Poisson process of rate 1 before a time, int64 [M]; the time of the first one is given.

    >>> arrivals(np.array([1, 2], np.uint64), np.array([0.5, 0.5]), np.array([0.1, 0.6])).tolist()
    [0, 1]
    """
    counted, waiting, now = np.zeros(len(keys), np.int64), np.arange(len(keys)), first
    arrival = 0
    while len(waiting):
        still = now < until[waiting]
        waiting, arrival = waiting[still], arrival + 1
        counted[waiting] += 1
        now = now[still] - np.log1p(-uniforms(keys[waiting], 1, arrival)[:, 0])
    return counted
