"""What measuring costs against the number of items: seconds, bytes shuffled and bytes read of every part.

    python bench/measure_cost.py [--rows 10000 100000 1000000] [--dim 64] [--threads 2] [--work FOLDER]

Items are `training_scale.mixture`, events five times as many, of users with a Zipf taste for items. `rq_kmeans` with
K = 256, L = 3 gives the SIDs; then everything is measured. Bytes are those of Spark's own event log, by the time at
which a stage ended. Every size runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))
from training_scale import mixture, peak_bytes

_EVENTS_AN_ITEM = 5
_BYTES = {"shuffled": "Shuffle Bytes Written", "read": "Bytes Read"}


def made(rows: int, dim: int, folder: Path) -> dict[str, str]:
    """Items and events on disk."""
    rng = np.random.default_rng(1)
    x = mixture(rows, dim)
    items = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), dim).cast(pa.list_(pa.float32()))
    (folder / "items").mkdir(parents=True)
    step = -(-rows // 8)
    for part in range(8):
        block = slice(part * step, (part + 1) * step)
        table = pa.table({"item_id": np.arange(rows)[block], "embedding": items[part * step : (part + 1) * step]})
        pq.write_table(table, folder / "items" / f"{part}.parquet")
    events = rows * _EVENTS_AN_ITEM
    popular = np.minimum(rng.zipf(1.3, events) - 1, rows - 1)
    item = np.where(rng.random(events) < 0.5, popular, rng.integers(0, rows, events))
    user = rng.integers(0, max(1, events // 20), events)
    pq.write_table(pa.table({"user_id": user, "item_id": item, "timestamp": np.arange(events)}), folder / "e.parquet")
    return {"items.path": str(folder / "items"), "events.path": str(folder / "e.parquet")}


class Parts:
    """A `Watcher` that notes when every part of the measure step ended."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, float]] = []

    def progress(self, stage: str, done: int, total: int, **figures: float) -> None:
        """A part is done."""
        self.ends.append((stage, time.time()))


def one(rows: int, arguments: argparse.Namespace, replies: Any) -> None:
    """All parts of one size."""
    from drq_spark import pipeline
    from drq_spark.config import load_config
    from drq_spark.progress import Silent
    from drq_spark.session import local_session

    class Watcher(Parts, Silent):
        progress = Parts.progress

    folder = Path(tempfile.mkdtemp(dir=arguments.work))
    (folder / "log").mkdir()
    settings = {
        "spark.eventLog.enabled": "true", "spark.eventLog.dir": f"file://{folder}/log",
        "spark.eventLog.compress": "false", "spark.eventLog.rolling.enabled": "false",
    }  # fmt: skip
    spark = local_session(master=f"local[{arguments.threads}]", memory="6g", scratch=folder / "s", settings=settings)
    options = {
        **made(rows, arguments.dim, folder), "store.out": str(folder / "out"), "tokenizer.name": "rq_kmeans",
        "train.threads": arguments.threads, "sample.size": 100_000,
    }  # fmt: skip
    watcher = Watcher()
    now = datetime.now(timezone.utc)
    run, catalogue = pipeline.begin(spark, load_config(options=options), date.today(), now, watcher)
    marks: dict[str, float] = {}

    with run.tidied():
        pipeline.sample(run, catalogue)
        pipeline.train(run)
        pipeline.assign(run, catalogue)
        watcher.ends.clear()
        marks["start"] = time.time()
        pipeline.measure(run, catalogue)
        marks["end"] = time.time()
    spark.stop()
    ends = [*watcher.ends, ("writing tables", marks["end"])]
    replies.put((rows, seconds(marks["start"], ends), bytes_of(folder / "log", marks["start"], ends), peak_bytes()))
    shutil.rmtree(folder)


def seconds(start: float, ends: list[tuple[str, float]]) -> dict[str, float]:
    """Of every part."""
    times = [start, *[end for _, end in ends]]
    return {name: end - begin for (name, end), begin in zip(ends, times, strict=False)}


def bytes_of(log: Path, start: float, ends: list[tuple[str, float]]) -> dict[str, dict[str, int]]:
    """Bytes of every part, from the tasks that ended while it lasted."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_BYTES, 0))
    lines = (line for file in log.rglob("*") if file.is_file() for line in file.open())
    for event in map(json.loads, lines):
        if event["Event"] != "SparkListenerTaskEnd" or not event.get("Task Metrics"):
            continue
        at = event["Task Info"]["Finish Time"] / 1000
        part = next((name for name, end in ends if start <= at <= end), None)
        if part is not None:
            metrics = event["Task Metrics"]
            found[part]["shuffled"] += metrics["Shuffle Write Metrics"][_BYTES["shuffled"]]
            found[part]["read"] += metrics["Input Metrics"][_BYTES["read"]]
    return dict(found)


def main() -> None:
    """Print a table a size, Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, default=None, help="folder for tables, a temporary one without it")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for rows in arguments.rows:
        replies = context.Queue()
        process = context.Process(target=one, args=(rows, arguments, replies))
        process.start()
        _, spent, moved, peak = replies.get()
        process.join()
        print(f"\n{rows:,} items x {arguments.dim}, {sum(spent.values()):.0f} s, driver's Python {peak / 1e9:.2f} GB\n")
        print("| part | s | shuffled MB | read MB | shuffled bytes an item |\n|---|---|---|---|---|")
        for name, took in spent.items():
            shuffled, read = moved.get(name, {}).get("shuffled", 0), moved.get(name, {}).get("read", 0)
            print(f"| {name} | {took:.1f} | {shuffled / 1e6:.2f} | {read / 1e6:.1f} | {shuffled / rows:.1f} |")


if __name__ == "__main__":
    main()
