"""Deferred acceptance (`drq_spark.formulas.deferred_acceptance`) of asks that lie in a DataFrame.

Few asks are decided on the driver. More of them are decided by Spark, in rounds: every unit stands before the first of
its places that has not refused it, and a place refuses those for which it has no room. The outcome is the same.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from drq_spark.formulas.deferred_acceptance import accepted
from drq_spark.staging import Staging

_ON_DRIVER = 1_000_000  # asks: some 50 MB


def granted(asks: DataFrame, staging: Staging) -> DataFrame:
    """unit, place of the asks that are granted, at most one of each unit.

    Args:
        asks: unit, place (which of the unit's asks it is), sid, strength, room; see `accepted`.
        staging: Folder for the asks and for what the rounds leave, where there are more than the driver decides.
    """
    few = asks.select("unit", "place", "sid", "strength", "room").limit(_ON_DRIVER + 1).toArrow()
    if few.num_rows > _ON_DRIVER:
        return _in_rounds(staging.keep(asks, "asks"), staging)
    table = few.sort_by([("unit", "ascending"), ("place", "ascending")]).combine_chunks()
    unit = table["unit"].dictionary_encode().unify_dictionaries().combine_chunks()
    asker = np.asarray(unit.indices, np.int64)
    sid, room = (np.asarray(table[name], np.int64) for name in ("sid", "room"))
    chosen = accepted(asker, sid, np.asarray(table["strength"], np.float64), room)
    return asks.sparkSession.createDataFrame(table.filter(pa.array(chosen)).select(["unit", "place"]))


def _in_rounds(asks: DataFrame, staging: Staging) -> DataFrame:
    refused, rounds = asks.select("unit", "place").limit(0), 0
    order = Window.partitionBy("sid").orderBy(F.desc("strength"), "unit")
    while True:
        standing = _standing(asks, refused)
        turned = standing.withColumn("number", F.row_number().over(order)).where("number > room")
        newly = staging.keep(turned.select("unit", "place"), f"refused_{rounds}")
        if newly.isEmpty():
            return standing.select("unit", "place")
        refused, rounds = refused.union(newly), rounds + 1


def _standing(asks: DataFrame, refused: DataFrame) -> DataFrame:
    """Each unit's first ask that has not been refused; none of units that have been refused everywhere."""
    left = asks.join(refused, ["unit", "place"], "left_anti")
    first = Window.partitionBy("unit").orderBy("place")
    return left.withColumn("turn", F.row_number().over(first)).where("turn = 1").drop("turn")
