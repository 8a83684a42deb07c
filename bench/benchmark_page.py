"""One page of what is measured on this machine, by one command, `make bench`.

    python bench/benchmark_page.py FILE [--catalogue FOLDER] [--rows 100000 1000000] [--only NAME ..]

Runs the benches that take minutes, one after the other, on a machine that is idle otherwise, and writes what they print
into FILE, with the command of each, how long it took, and what the machine, the libraries and their BLAS are. A bench
that fails stands in the page as failed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

os.environ.pop("OPENBLAS_CORETYPE", None)  # BLAS chooses its kernel by the processor, here and in the benches
import numpy as np
from threadpoolctl import threadpool_info

from drq_spark.local.java import find_java
from drq_spark.machine_memory import memory_limit

_FOLDER = Path(__file__).parent
_LIBRARIES = ("torch", "numba", "faiss-cpu", "pyarrow", "pyspark", "delta-spark")


@dataclass(frozen=True)
class Bench:
    """A section of the page.

    Attributes:
        name: What `--only` calls it.
        title: What it measures.
        command: Script of this folder and its arguments.
    """

    name: str
    title: str
    command: tuple[str, ...]


def benches(catalogue: str, rows: Sequence[int]) -> tuple[Bench, ...]:
    """What is run."""
    sizes = [str(size) for size in rows]
    return (
        Bench("kernel", "Codes beside the bare matrix product and FAISS", ("assign_kernel.py", "128", "256")),
        Bench("assign", "The assign step beside the scan alone and a pandas_udf", ("assign_step.py",)),
        Bench("training", "Training beside FAISS", ("training_ratio.py", catalogue)),
        Bench("small", "A run on 5,000 items", ("small_data.py", "--runs", "2")),
        Bench("run", "A run, step by step", ("scale.py", "--rows", *sizes)),
        Bench("measuring", "Figures, part by part", ("measure_cost.py", "--rows", *sizes)),
        Bench("night", "A night beside a full run", ("nights.py", "--rows", sizes[-1])),
    )


def main() -> int:
    """Run the benches and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("to", type=Path)
    parser.add_argument("--catalogue", default=str(_FOLDER.parent / "drq_spark" / "data" / "packages_5k"))
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--only", nargs="+", choices=[bench.name for bench in benches("", [1])])
    arguments = parser.parse_args()
    chosen = [
        bench
        for bench in benches(arguments.catalogue, arguments.rows)
        if not arguments.only or bench.name in arguments.only
    ]
    parts, failed = ["\n".join(_machine())], 0
    for bench in chosen:
        print(f"{bench.title}: {' '.join(bench.command)}", flush=True)
        part, code = _section(bench)
        parts.append(part)
        failed += code != 0
        arguments.to.parent.mkdir(parents=True, exist_ok=True)
        arguments.to.write_text("\n\n".join(parts) + "\n", encoding="utf-8")  # what there is, should a later one end it
    print(arguments.to)
    return 1 if failed else 0


def _machine() -> Iterator[str]:
    """The head of the page."""
    yield f"# Measured on {time.strftime('%Y-%m-%d')}\n"
    load = os.getloadavg()[0]
    yield f"- {_processor()}, {os.cpu_count()} cores, {memory_limit() / 2**30:.0f} GiB, load {load:.1f} at the start"
    java = subprocess.run([str(find_java()), "-version"], capture_output=True, text=True, check=True).stderr
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    yield f"- Python {platform.python_version()}, {java.splitlines()[0]}, {libraries}"
    blas = {f"{found['prefix']} {found['version']}, kernel {found['architecture']}" for found in threadpool_info()
            if found["user_api"] == "blas"}  # fmt: skip
    yield f"- numpy {np.__version__} with {', '.join(sorted(blas))}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _section(bench: Bench) -> tuple[str, int]:
    """Title, command and what it printed; and its exit code."""
    script, *arguments = bench.command
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(_FOLDER / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    shown = done.stdout if done.returncode == 0 else f"{done.stdout}\n{done.stderr}"
    told = f"`python bench/{' '.join(bench.command)}`, {time.monotonic() - start:.0f} s"
    verdict = "" if done.returncode == 0 else f"\n\n**Failed with exit code {done.returncode}.**"
    return f"## {bench.title}\n\n{told}{verdict}\n\n```text\n{shown.strip()}\n```", done.returncode


if __name__ == "__main__":
    sys.exit(main())
