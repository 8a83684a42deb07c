"""What readers follow: current_sids, changed in one commit, and the thin log of what every commit changed.

The log of a version is written before the version, so that whoever finds a version finds its changes, too. Rows of
versions that are not there yet are those of a run that was killed on the way; the next one writes over them.
"""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from drq_spark.runs import Run
from drq_spark.schemas import CURRENT_SIDS, NIGHT_SIDS, SID_CHANGES, Change
from drq_spark.sids_of_run import IS_REMOVED, reader_rows

_TOLD = (Change.ADDED.value, Change.MOVED.value, Change.REMOVED.value)


def move_readers(run: Run) -> None:
    """Let current_sids hold the SIDs of a run, in one commit; nothing happens where it does so already."""
    store, state = run.store, run.state
    writer = store.last_writer(CURRENT_SIDS)
    if writer == state.run_id:
        version = store.version(CURRENT_SIDS)
    elif state.is_night and writer == state.base_run_id:
        version = _carry_on(run)
    else:
        version = _put(run)
    run.state = replace(run.state, table_versions={**state.table_versions, store.name_of(CURRENT_SIDS): version})


def _carry_on(run: Run) -> int:
    """Change the rows that a night changes."""
    store, state = run.store, run.state
    rows = store.read(NIGHT_SIDS, state.run_id).withColumn("old_tokenizer_id", F.lit(state.tokenizer_id))
    version = store.version(CURRENT_SIDS) + 1
    _tell(run, rows.where(F.col("change").isin(*_TOLD)), version)
    return store.merge(CURRENT_SIDS, rows, f"new.{IS_REMOVED}", state.run_id)


def _put(run: Run) -> int:
    """Replace all rows: a tokenizer was trained, or readers are moved to a run that is not the next one."""
    store, state = run.store, run.state
    after = reader_rows(store, state)
    before = store.read(CURRENT_SIDS) if store.exists(CURRENT_SIDS) else after.limit(0)
    version = store.version(CURRENT_SIDS) + 1 if store.exists(CURRENT_SIDS) else 1  # a new table begins with version 0
    _tell(run, changes_between(before, after), version)
    return store.write(CURRENT_SIDS, after, state.run_id, state.id_type)


def changes_between(before: DataFrame, after: DataFrame) -> DataFrame:
    """What all items have become that two versions of current_sids differ in.

    Columns item_id, change, old_sid, old_suffix, old_tokenizer_id, sid, suffix.
    """
    old = before.select("item_id", *(F.col(name).alias(f"old_{name}") for name in ("sid", "suffix", "tokenizer_id")))
    both = old.join(after.select("item_id", "sid", "suffix"), "item_id", "full")
    added, removed = F.col("old_sid").isNull(), F.col("sid").isNull()
    moved = (F.col("old_sid") != F.col("sid")) | (F.col("old_suffix") != F.col("suffix"))
    change: Column = F.when(added, Change.ADDED.value).when(removed, Change.REMOVED.value)
    return both.withColumn("change", change.when(moved, Change.MOVED.value)).where("change IS NOT NULL")


def _tell(run: Run, rows: DataFrame, version: int) -> None:
    """Write the log of a version that is not there yet."""
    removed = F.col("change") == Change.REMOVED.value
    after = {name: F.when(~removed, F.col(name)) for name in ("sid", "suffix")}
    after["old_tokenizer_id"] = F.when(F.col("old_sid").isNotNull(), F.col("old_tokenizer_id"))
    stamp = {
        "version": F.lit(version).cast("bigint"),
        "run_id": F.lit(run.state.run_id),
        "run_date": F.lit(run.state.run_date),
        "tokenizer_id": F.lit(run.state.tokenizer_id),
    }
    run.store.put_version(SID_CHANGES, rows.withColumns({**after, **stamp}), version, run.state.id_type)
