"""What the session for little data saves: the same small runs with queries interpreted and with queries compiled.

    python bench/small_data.py [--rows 5000] [--runs 3] [--threads 2]

Two sessions of `local_session`, `small_data` on and off, each in a process of its own, one after the other: `rq_kmeans`
without events on `training_scale.mixture`, a run for each seed. The first run pays for Java's start.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))
from training_scale import mixture


def timed(small_data: bool, arguments: argparse.Namespace, items: str, replies: Any) -> None:
    """Seconds of every run in one session."""
    from drq_spark import pipeline
    from drq_spark.config import load_config
    from drq_spark.session import local_session

    with tempfile.TemporaryDirectory() as folder:
        spark = local_session(
            master=f"local[{arguments.threads}]", memory="2g", small_data=small_data, scratch=Path(folder)
        )
        seconds = []
        for seed in range(arguments.runs):
            options = {
                "items.path": items, "store.out": f"{folder}/out", "tokenizer.name": "rq_kmeans", "seed": seed,
                "train.threads": arguments.threads,
            }  # fmt: skip
            start = time.monotonic()
            pipeline.run_all(spark, load_config(options=options), date.today(), datetime.now(timezone.utc))
            seconds.append(time.monotonic() - start)
        spark.stop()
    replies.put(seconds)


def main() -> None:
    """Print seconds of every run, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        x = pa.FixedSizeListArray.from_arrays(pa.array(mixture(arguments.rows, 64).ravel()), 64)
        table = pa.table({"item_id": np.arange(arguments.rows), "embedding": x.cast(pa.list_(pa.float32()))})
        pq.write_table(table, f"{folder}/items.parquet")
        for name, small_data in (("interpreted", True), ("compiled", False)):
            replies = context.Queue()
            process = context.Process(target=timed, args=(small_data, arguments, f"{folder}/items.parquet", replies))
            process.start()
            found[name] = replies.get()
            process.join()
            print(f"{name:12s}", " ".join(f"{value:6.1f} s" for value in found[name]), flush=True)
    ratios = np.array(found["interpreted"]) / np.array(found["compiled"])
    print(f"{'ratio':12s}", " ".join(f"{value:8.2f}" for value in ratios))


if __name__ == "__main__":
    main()
