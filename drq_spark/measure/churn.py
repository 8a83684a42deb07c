"""What has changed since the run that readers follow: codes of every level, and whole SIDs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from drq_spark.measure.figures import Churn
from drq_spark.run_state import find_run
from drq_spark.runs import Run
from drq_spark.sids_of_run import sids_of_run
from drq_spark.staging import Staging

_MOST_MATCHED_CODES = 4096  # the matching is cubic in K and its matrix K x K
_WHOLE = -1  # in the place of a level: the whole SID


def churn_of(run: Run, sids: DataFrame) -> Churn | None:
    """Changes against the run that readers follow, where it is another one; code by code where the shapes agree."""
    previous = run.state.base_run_id or run.followed
    if previous is None or previous == run.state.run_id:
        return None
    run.state = replace(run.state, previous_run_id=previous)
    state, sizes = find_run(run.store, previous), run.codebook_sizes
    before = sids_of_run(run.store, state) if run.base is None else run.base.where("gone_nights = 0")
    same_shape = state.settings().tokenizer.codebook_sizes == sizes
    return changes(before, sids, sizes if same_shape else (), run.staging)


def changes(before: DataFrame, after: DataFrame, codebook_sizes: tuple[int, ...], staging: Staging) -> Churn:
    """What became of the items of both runs: one join and one group-by for whole SIDs and for all levels.

    Args:
        before: SIDs of the run that readers follow, see `schemas.SIDS`.
        after: Those of this run.
        codebook_sizes: K of the levels that are compared code by code; none where the shapes differ.
        staging: Keeps the counts, so that those of one level at a time reach the driver.
    """
    matched = [level for level, size in enumerate(codebook_sizes) if size <= _MOST_MATCHED_CODES]
    counts = staging.keep(_counted(before, after, matched), "changes")
    whole = {row.new: row["items"] for row in counts.where(F.col("level") == _WHOLE).collect()}
    tables = [_table(counts, level, size) if level in matched else None for level, size in enumerate(codebook_sizes)]
    return Churn(tuple(tables), items=sum(whole.values()), moved=whole.get(1, 0))


def _counted(before: DataFrame, after: DataFrame, levels: Sequence[int]) -> DataFrame:
    """level (from 0), old and new code, items; for `_WHOLE`, new says whether the SID differs (1) or not (0)."""
    both = before.select("item_id", F.col("codes").alias("old")).join(after.select("item_id", "codes"), "item_id")
    differs = (F.col("old") != F.col("codes")).cast("int")
    changes = [_change(_WHOLE, F.lit(0), differs)]
    changes += [_change(level, F.col("old")[level], F.col("codes")[level]) for level in levels]
    exploded = both.select(F.explode(F.array(*changes)).alias("change")).select("change.*")
    return exploded.groupBy("level", "old", "new").agg(F.count(F.lit(1)).alias("items"))


def _change(level: int, old: Column, new: Column) -> Column:
    return F.struct(F.lit(level).alias("level"), old.alias("old"), new.alias("new"))


def _table(counts: DataFrame, level: int, size: int) -> NDArray[np.int64]:
    """How many items went from each code of a level to each: int64 [K, K]."""
    found = counts.where(F.col("level") == level).toArrow()
    table = np.zeros((size, size), np.int64)
    table[found["old"].to_numpy(), found["new"].to_numpy()] = found["items"].to_numpy()
    return table
