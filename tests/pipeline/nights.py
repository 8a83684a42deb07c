"""Three runs in one folder, done once per test session: a messy first night, a second with events, a third that fails.

`nights(spark, folder)` is behind the fixture of that name.
"""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pipeline.catalogues import F32, Messy, Rows, clustered, messy, plain, settings, write
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from drq_spark.cli import main

PASSING = "gate.rules=[{metric: quarantine_rate, maximum: 0.1}, {metric: utilization, minimum: 0.3}]"
FAILING = "gate.rules=[{metric: utilization, minimum: 0.3}, {metric: unique_sids, minimum: 1000000}]"
SHAPE = ("--levels", "4", "--codes", "6")
QUERIES = "measure.neighbour_queries=700"  # all items


@dataclass(frozen=True)
class Night:
    """One finished run.

    Attributes:
        arguments: of the command line, without the date. vectors, exposure: of every item that must have a SID.
        quarantined: rows that must have none.
    """

    arguments: tuple[str, ...]
    date: str
    exit_code: int
    stdout: str
    stderr: str
    run_id: str
    vectors: Mapping[Any, F32]
    exposure: Mapping[Any, float] | None
    quarantined: int


@dataclass(frozen=True)
class Nights:
    """The runs of one folder, in order; `first` published, then `second`, while `third` failed the gate.

    `after_first` is a copy of the folder from between the first and the second.
    """

    out: Path
    after_first: Path
    messy: Messy
    first: Night
    second: Night
    third: Night


def command(arguments: Sequence[str]) -> tuple[int, str, str]:
    """Run the command line in this process: exit code, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(list(arguments))
    return code, out.getvalue(), err.getvalue()


def first_night(base: Path) -> tuple[Messy, tuple[str, ...]]:
    """Rows and arguments (without --out) of the first run, for the same run elsewhere."""
    rows = messy(normalize="l2")
    items = base / "first"
    if not items.exists():
        write(rows.rows, items, 3)
    return rows, ("--items", str(items), *SHAPE, *settings("items.normalize=l2", "items.name=title", QUERIES, PASSING))


def lowest_hash(spark: SparkSession, embeddings: Sequence[Sequence[float]]) -> int:
    """Place of the embedding with the lowest xxhash64."""
    df = spark.createDataFrame([(place, row) for place, row in enumerate(embeddings)], "place int, e array<float>")
    return int(df.orderBy(F.xxhash64("e")).first().place)  # type: ignore[union-attr]


def settled(spark: SparkSession, rows: Messy) -> dict[Any, F32]:
    """What must get a SID, ids with several embeddings included."""
    kept = dict(rows.kept)
    for item in rows.repeated:
        found = [e for i, e in zip(rows.rows.ids, rows.rows.embeddings, strict=True) if i == item]
        kept[item] = np.array(found[lowest_hash(spark, found)], np.float32)
    return kept


def _run(out: Path, date: str, arguments: tuple[str, ...], expected: dict[str, Any]) -> Night:
    from deltalake import DeltaTable

    code, stdout, stderr = command(["run", "--out", str(out), "--run-date", date, *arguments])
    runs = DeltaTable(str(out / "tables" / "runs")).to_pyarrow_table().to_pylist()
    run_id = next(row["run_id"] for row in runs if str(row["run_date"]) == date)
    return Night(arguments, date, code, stdout, stderr, run_id, **expected)


def nights(spark: SparkSession, base: Path) -> Nights:
    """Make the three runs."""
    out = base / "it's a `team` Ω"
    rows, arguments = first_night(base)
    vectors = settled(spark, rows)
    expected = {"vectors": vectors, "exposure": None, "quarantined": len(rows.quarantine)}
    first = _run(out, "2026-01-01", arguments, expected)
    copied = Path(shutil.copytree(out, base / "after first"))
    changed = _next_day()
    second = _run(out, "2026-01-02", *_second(base, changed))
    third = _run(out, "2026-01-03", *_third(base, changed))
    return Nights(out, copied, rows, first, second, third)


def _next_day() -> Rows:
    """Of the first night's good rows 20 are gone, 20 have moved, and 30 are new."""
    rows = plain().taken(range(20, 600))
    moved = [(np.array(row, np.float32) + 1).tolist() for row in rows.embeddings[:20]]
    kept = Rows(rows.ids, (*moved, *rows.embeddings[20:]))
    return kept.plus([f"new-{number}" for number in range(30)], [row.tolist() for row in clustered(30, seed=11)])


def _vectors(rows: Rows) -> dict[Any, F32]:
    return dict(zip(rows.ids, rows.matrix(), strict=True))


def _second(base: Path, rows: Rows) -> tuple[tuple[str, ...], dict[str, Any]]:
    items = write(rows.shuffled(5), base / "second", 2)
    random = np.random.default_rng(5)
    seen = [str(item) for item in random.choice(rows.ids[:400], 3000)]
    item = [*seen, None, None, "unknown", "item-00000"]
    users, order = random.integers(50, size=len(item)), np.arange(len(item))
    table = pa.table({"who": users, "what": pa.array(item, pa.string()), "when": order})
    pq.write_table(table, base / "events.parquet")
    names = ("events.user=who", "events.item=what", "events.order=when")
    arguments = (
        "--items",
        items,
        "--events",
        str(base / "events.parquet"),
        *SHAPE,
        *settings(*names, QUERIES, PASSING),
    )
    counted = Counter(seen)
    exposure = {item: float(counted.get(item, 0)) for item in rows.ids}
    return arguments, {"vectors": _vectors(rows), "exposure": exposure, "quarantined": 0}


def _third(base: Path, rows: Rows) -> tuple[tuple[str, ...], dict[str, Any]]:
    random = np.random.default_rng(6)
    shown: list[float | None] = np.floor(random.pareto(1.2, len(rows)) * 10).tolist()
    shown[7], shown[8] = None, 0.25
    table = Rows(rows.ids, rows.embeddings, tuple(shown)).table()
    items = write(table.rename_columns(["item_id", "embedding", "shown"]), base / "third")
    shown_by = ("items.exposure=shown", "sample.exposure_power=0.5")
    arguments = ("--items", items, *SHAPE, *settings(*shown_by, QUERIES, FAILING))
    exposure = {item: value or 0.0 for item, value in zip(rows.ids, shown, strict=True)}
    return arguments, {"vectors": _vectors(rows), "exposure": exposure, "quarantined": 0}
