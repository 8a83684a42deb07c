"""What has changed since the run that readers follow: codes of every level, and whole SIDs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from drq_spark.measure.figures import Churn
from drq_spark.run_state import RunState, find_run
from drq_spark.runs import Run
from drq_spark.schemas import NIGHT_SIDS
from drq_spark.sids_of_run import sids_of_run, untouched
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
    same_shape = state.settings().tokenizer.codebook_sizes == sizes
    both = _of_run(run) if run.state.is_night else of_both(_before(run, state), sids)
    return changes(both, sizes if same_shape else (), run.staging)


def _before(run: Run, state: RunState) -> DataFrame:
    """item_id and codes in the run that readers follow."""
    rows = sids_of_run(run.store, state) if run.base is None else run.base.where("gone_nights = 0")
    return rows.select("item_id", "codes")


def of_both(before: DataFrame, after: DataFrame) -> DataFrame:
    """old and new codes of the items that two runs have in common; rows are item_id, codes and more."""
    old = before.select("item_id", F.col("codes").alias("old"))
    return old.join(after.select("item_id", F.col("codes").alias("new")), "item_id").select("old", "new")


def _of_run(run: Run) -> DataFrame:
    """The same of a night and the run whose SIDs it carries over."""
    assert run.base is not None  # a night stands on one
    return of_night(run.base, run.rows(NIGHT_SIDS, "assign"), few=run.changes_few)


def of_night(base: DataFrame, night: DataFrame, *, few: bool) -> DataFrame:
    """old and new codes of the items that are there before and after a night: only what differs is looked up.

    Args:
        base: Rows of `schemas.CURRENT_SIDS` before it.
        night: The night's rows of `schemas.NIGHT_SIDS`.
        few: As for `sids_of_run.changed_by`.
    """
    before = base.where("gone_nights = 0").select("item_id", "codes")
    changed = of_both(before, night.where("gone_nights = 0"))
    kept = untouched(before, night, few=few).select(F.col("codes").alias("old"), F.col("codes").alias("new"))
    return kept.unionByName(changed)


def changes(both: DataFrame, codebook_sizes: tuple[int, ...], staging: Staging) -> Churn:
    """What became of the items of both runs: one group-by for whole SIDs and for all levels.

    Args:
        both: old and new codes of each.
        codebook_sizes: K of the levels that are compared code by code; none where the shapes differ.
        staging: Keeps the counts, so that those of one level at a time reach the driver.
    """
    matched = [level for level, size in enumerate(codebook_sizes) if size <= _MOST_MATCHED_CODES]
    counts = staging.keep(_counted(both, matched), "changes")
    whole = {row.new: row["items"] for row in counts.where(F.col("level") == _WHOLE).collect()}
    tables = [_table(counts, level, size) if level in matched else None for level, size in enumerate(codebook_sizes)]
    return Churn(tuple(tables), items=sum(whole.values()), moved=whole.get(1, 0))


def _counted(both: DataFrame, levels: Sequence[int]) -> DataFrame:
    """level (from 0), old and new code, items; for `_WHOLE`, new says whether the SID differs (1) or not (0)."""
    differs = (F.col("old") != F.col("new")).cast("int")
    changes = [_change(_WHOLE, F.lit(0), differs)]
    changes += [_change(level, F.col("old")[level], F.col("new")[level]) for level in levels]
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
