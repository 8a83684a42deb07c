"""A run that no step has worked on, and what one puts into its tables by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.config import load_config
from drq_spark.progress import SILENT
from drq_spark.run_state import RunState, new_run
from drq_spark.runs import Run
from drq_spark.schemas import SID_CHANGES, SIDS
from drq_spark.store import Store

DAY, NOW = date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=timezone.utc)


def state_of(run_id: str, **changes: Any) -> RunState:
    """The row of a run of four items."""
    fresh = new_run(load_config(options={"items.path": "items"}), "content", DAY, NOW, 4, 2, "string")
    return replace(fresh, **{"run_id": run_id, "tokenizer_id": "tokenizer-a", **changes})


def run_of(spark: SparkSession, out: Path, run_id: str, **changes: Any) -> Run:
    """A run that writes there."""
    state = state_of(run_id, **changes)
    return Run(Store(spark, str(out)), state.settings(), state, SILENT)


def sids_of(spark: SparkSession, items: Sequence[str], sid: int = 0) -> DataFrame:
    """Rows for the sids table: items that share a SID, numbered in this order."""
    row = {
        "codes": [sid],
        "sid": sid,
        "margin": [0.5],
        "residual_norm": 0.5,
        "exposure": None,
        "embedding_hash": 7,
        "moved_from": None,
    }
    columns = [column for column in SIDS.columns if column.name not in ("tokenizer_id", "run_id", "run_date")]
    schema = ", ".join(f"{column.name} {column.type.format(id='string')}" for column in columns)
    rows = [{**row, "item_id": item, "suffix": number} for number, item in enumerate(items)]
    return spark.createDataFrame([tuple(row[column.name] for column in columns) for row in rows], schema)


def published(spark: SparkSession, out: Path, run_id: str, items: Sequence[str]) -> Run:
    """A run with SIDs that readers follow."""
    run = run_of(spark, out, run_id, rows_out=len(items))
    run.write(SIDS, sids_of(spark, items))
    run.move_pointer()
    run.save()
    return run


def changed(
    spark: SparkSession, out: Path, run_id: str, rows: Sequence[tuple[Any, ...]], after: int = 0, **more: Any
) -> None:
    """A night, so many days after the first; its rows: item_id, change, old_sid, old_suffix, sid, suffix."""
    night = {"mode": "night", "base_run_id": "first", "status": "published", **more}
    run = run_of(spark, out, run_id, run_date=DAY + timedelta(days=after), **night)
    schema = "item_id string, change string, old_sid bigint, old_suffix int, sid bigint, suffix int"
    unknown = {"old_tokenizer_id": F.lit(None).cast("string")}  # as versions before it was told have left it
    stamped = spark.createDataFrame(list(rows), schema).withColumns({"version": F.lit(1).cast("bigint"), **unknown})
    run.write(SID_CHANGES, stamped)
    run.save()
