"""How a run grows with the catalogue: seconds, bytes read and shuffled of every step, and memory.

    python bench/scale.py [--rows 100000 1000000 10000000] [--dim 64] [--threads 2] [--sample 100000] [--work FOLDER]
                          [--until publish] [--set section.key=value ...]

`training_scale.mixture` as a catalogue without events; the steps of `drq run`, each size in a process of its own, on a
machine that is idle otherwise: processor time is that of the whole machine (/proc/stat). `read` is in multiples of the
files of the items. Workers are Python processes of the executors; their memory is looked at four times a second. The
last line is the slope of log seconds against log rows of the assign step, for each two neighbouring sizes.
"""

from __future__ import annotations

import argparse
import itertools
import math
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from measure_cost import bytes_of
from nights import busy, catalogue
from training_scale import mixture, peak_bytes

_STEPS = ("read", "sample", "train", "assign", "measure", "publish")


class Workers(threading.Thread):
    """The most memory that a Python worker of this machine has had."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.ended = threading.Event()

    def run(self) -> None:
        """Look until it is told to end."""
        while not self.ended.wait(0.25):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    if b"pyspark.daemon" in (process / "cmdline").read_bytes() and process.name != str(os.getpid()):
                        lines = (process / "status").read_text().splitlines()
                        peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
                        self.peak = max([self.peak, *peaks])
                except OSError:  # it has ended
                    continue


class Spent:
    """Seconds, processor seconds and ends of steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self.ends: list[tuple[str, float]] = []

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        """Note what the work inside costs."""
        start, cpu = time.monotonic(), busy()
        yield
        self.seconds[step], self.cpu[step] = time.monotonic() - start, busy() - cpu
        self.ends.append((step, time.time()))


def make(rows: int, dim: int, folder: Path) -> None:
    """Write the catalogue, in a process of its own, so that its memory is none of the driver's."""
    catalogue(folder / "items", [f"item-{n:09d}" for n in range(rows)], mixture(rows, dim))


def one(folder: Path, arguments: argparse.Namespace, replies: Any) -> None:
    """All steps of one size."""
    from drq_spark import pipeline
    from drq_spark.config import load_config
    from drq_spark.progress import SILENT
    from drq_spark.session import local_session

    (folder / "log").mkdir()
    logged = {
        "spark.eventLog.enabled": "true", "spark.eventLog.dir": f"file://{folder}/log",
        "spark.eventLog.compress": "false", "spark.eventLog.rolling.enabled": "false",
        "spark.hadoop.parquet.hadoop.vectored.io.enabled": "false",  # its bytes are not counted
    }  # fmt: skip
    spark = local_session(master=f"local[{arguments.threads}]", memory="6g", scratch=folder / "s", settings=logged)
    options = {
        "items.path": str(folder / "items"), "store.out": str(folder / "out"), "sample.size": arguments.sample,
        "train.threads": arguments.threads,
    }  # fmt: skip
    config = load_config(options=options, settings=arguments.set)
    spent, workers, start = Spent(), Workers(), time.time()
    workers.start()
    with spent.of("read"):
        run, items = pipeline.begin(spark, config, date.today(), datetime.now(timezone.utc), SILENT)
    with run.tidied():
        steps: list[tuple[str, Callable[[], None]]] = [
            ("sample", lambda: pipeline.sample(run, items)),
            ("train", lambda: pipeline.train(run, items)),
            ("assign", lambda: pipeline.assign(run, items)),
            ("measure", lambda: pipeline.measure(run, items)),
            ("publish", lambda: pipeline.publish(run)),
        ]
        for name, step in steps[: _STEPS.index(arguments.until)]:
            with spent.of(name):
                step()
    workers.ended.set()
    spark.stop()
    moved = bytes_of(folder / "log", start, spent.ends)
    replies.put((spent.seconds, spent.cpu, moved, workers.peak, peak_bytes()))


def main() -> None:
    """Print a table a size, Markdown, and the slopes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sample", type=int, default=100_000)
    parser.add_argument("--until", choices=_STEPS[3:], default="publish", help="the last step")
    parser.add_argument("--work", type=Path, default=None, help="folder for everything, a temporary one without it")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value")
    arguments = parser.parse_args()
    context, assigned = multiprocessing.get_context("spawn"), {}
    for rows in arguments.rows:
        folder, replies = Path(tempfile.mkdtemp(dir=arguments.work)), context.Queue()
        maker = context.Process(target=make, args=(rows, arguments.dim, folder))
        maker.start()
        maker.join()
        size = sum(file.stat().st_size for file in (folder / "items").iterdir())
        process = context.Process(target=one, args=(folder, arguments, replies))
        process.start()
        seconds, cpu, moved, worker, driver = replies.get()
        process.join()
        shutil.rmtree(folder)
        assigned[rows] = cpu["assign"]
        print(
            f"\n{rows:,} items x {arguments.dim}, {size / 1e6:,.0f} MB; worker {worker / 1e9:.2f} GB at most, ", end=""
        )
        print(f"the driver's Python {driver / 1e9:.2f} GB\n")
        print("| step | s | processor s | read, x the items | shuffled bytes an item |\n|---|---|---|---|---|")
        for step in seconds:
            bytes_moved = moved.get(step, {"read": 0, "shuffled": 0})
            print(
                f"| {step} | {seconds[step]:.1f} | {cpu[step]:.1f} | {bytes_moved['read'] / size:.2f} | "
                f"{bytes_moved['shuffled'] / rows:.1f} |"
            )
        total = sum(part["read"] for part in moved.values()) / size
        print(f"| all | {sum(seconds.values()):.1f} | {sum(cpu.values()):.1f} | {total:.2f} | |", flush=True)
    for few, many in itertools.pairwise(sorted(assigned)):
        slope = math.log(assigned[many] / assigned[few]) / math.log(many / few)
        print(f"slope of processor time of assign, {few:,} to {many:,}: {slope:.2f}")


if __name__ == "__main__":
    main()
