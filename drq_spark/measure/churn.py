"""What has changed since the run that readers follow: codes of every level, and whole SIDs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.measure.figures import Churn
from drq_spark.run_state import find_run
from drq_spark.runs import Run
from drq_spark.schemas import SIDS

_MOST_MATCHED_CODES = 4096  # the matching is cubic in K and its matrix K x K


def churn_of(run: Run, sids: DataFrame) -> Churn | None:
    """Changes against the run that readers follow, where it is another one; code by code where the shapes agree."""
    previous = run.followed
    if previous is None or previous == run.state.run_id:
        return None
    run.state = replace(run.state, previous_run_id=previous)
    before, sizes = run.store.read(SIDS, previous), run.codebook_sizes
    items, moved = moved_items(before, sids)
    same_shape = find_run(run.store, previous).settings().tokenizer.codebook_sizes == sizes
    return Churn(code_changes(before, sids, sizes) if same_shape else (), items, moved)


def code_changes(
    before: DataFrame, after: DataFrame, codebook_sizes: tuple[int, ...]
) -> tuple[NDArray[np.int64] | None, ...]:
    """Per level, how many items went from each code to each: int64 [K, K], for the items of both runs.

    None where K is above what a matching can be found for.
    """
    both = before.select("item_id", F.col("codes").alias("old")).join(after.select("item_id", "codes"), "item_id")
    pairs = both.select(F.posexplode(F.arrays_zip("old", "codes")).alias("level", "pair"))
    tables: list[NDArray[np.int64] | None] = []
    for level, size in enumerate(codebook_sizes):
        if size > _MOST_MATCHED_CODES:
            tables.append(None)
            continue
        counted = pairs.where(F.col("level") == level).groupBy("pair.old", "pair.codes").count().toArrow()
        table = np.zeros((size, size), np.int64)
        table[counted["old"].to_numpy(), counted["codes"].to_numpy()] = counted["count"].to_numpy()
        tables.append(table)
    return tuple(tables)


def moved_items(before: DataFrame, after: DataFrame) -> tuple[int, int]:
    """Items in both runs, and those among them whose whole SID differs."""
    both = before.select("item_id", F.col("codes").alias("old")).join(after.select("item_id", "codes"), "item_id")
    row = both.agg(F.count(F.lit(1)).alias("items"), F.count_if(F.col("old") != F.col("codes")).alias("moved")).first()
    assert row is not None  # an aggregation without keys has one row
    return int(row["items"]), int(row.moved)
