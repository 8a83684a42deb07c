"""What a night costs beside the full run before it: processor time and bytes written.

    python bench/nights.py [--rows 1000000] [--dim 128] [--share 0.01] [--out FOLDER]

`training_scale.mixture` as a catalogue; `drq run` on it, then a night in which a share of the items is new, as many
have another embedding and as many are gone; then the same night again. Processor time is that of the whole machine
(/proc/stat), which must be idle otherwise: Java's and the workers' is in it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))
from training_scale import mixture

SETTINGS = ("tokenizer.name=rq_kmeans", "sample.size=100000", "train.threads=2")


def busy() -> float:
    """Seconds of processor time that the machine has spent."""
    fields = [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def written(out: Path) -> int:
    """Bytes of all tables, log and files that are no longer part of a version included."""
    return sum(file.stat().st_size for file in (out / "tables").rglob("*") if file.is_file())


def catalogue(path: Path, ids: list[str], x: np.ndarray) -> None:
    """Write items as Parquet in files of 100,000 rows."""
    path.mkdir()
    for start in range(0, len(ids), 100_000):
        part = x[start : start + 100_000]
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), part.shape[1]).cast(pa.list_(pa.float32()))
        table = pa.table({"item_id": ids[start : start + 100_000], "embedding": vectors})
        pq.write_table(table, path / f"part-{start:09d}.parquet")


def timed(word: str, items: Path, out: Path, date: str) -> None:
    """Run a command and print what it cost."""
    options = [part for setting in SETTINGS for part in ("--set", setting)]
    drq = Path(sys.executable).with_name("drq")
    command = [drq, word, "--items", items, "--out", out, "--run-date", date, *options]
    before, cpu, start = (written(out) if out.exists() else 0), busy(), time.monotonic()
    reply = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert reply.returncode == 0, reply.stdout + reply.stderr
    line = {
        "command": f"{word} {items.name}",
        "cpu_s": round(busy() - cpu, 1),
        "wall_s": round(time.monotonic() - start, 1),
        "written_mb": round((written(out) - before) / 1e6, 1),
    }
    print(json.dumps(line), flush=True)


def main() -> None:
    """Print what every command cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    part = int(arguments.rows * arguments.share)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
    x = mixture(arguments.rows + part, arguments.dim)
    ids = [f"item-{n:09d}" for n in range(len(x))]
    with tempfile.TemporaryDirectory(dir=arguments.out) as name:
        folder = Path(name)
        catalogue(folder / "first", ids[: arguments.rows], x[: arguments.rows])
        timed("run", folder / "first", folder / "out", "2026-01-01")
        x[part : 2 * part] = -x[part : 2 * part]
        catalogue(folder / "second", ids[part:], x[part:])
        timed("nightly", folder / "second", folder / "out", "2026-01-02")
        timed("nightly", folder / "second", folder / "out", "2026-01-03")


if __name__ == "__main__":
    main()
