"""What training costs beside FAISS's ResidualQuantizer with a beam of 5, on one sample and the same cores.

    python bench/training_ratio.py FOLDER [--codes 256] [--levels 3] [--threads 1]

FOLDER is one that `catalogues.py` reads. Every fit takes the same rows, one after the other in this process, with the
threads set for torch, FAISS and BLAS alike. A line has the CPU seconds of the fit (of all threads; other work on the
machine hardly changes them), wall-clock seconds, and the CPU seconds over those of FAISS.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
NAMES = ("rq_kmeans", "drq, no events", "drq")


def main() -> None:
    """Read the arguments and print a line per fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name, default in (("codes", 256), ("levels", 3), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    for library in ("OMP", "OPENBLAS", "MKL"):  # read when numpy, torch and FAISS are loaded
        os.environ[f"{library}_NUM_THREADS"] = str(arguments.threads)
    compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Do the fits, FAISS first."""
    import faiss
    import numpy as np
    import torch
    from catalogues import load

    from drq_spark.config import load_config
    from drq_spark.train.driver import fit_tokenizer, split

    sample = load(arguments.folder)
    options = {
        "tokenizer.codes": arguments.codes, "tokenizer.levels": arguments.levels, "train.threads": arguments.threads,
    }  # fmt: skip
    x = np.ascontiguousarray(split(sample, load_config(options=options)).fit)
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    print(f"{arguments.folder.name}: {len(x)} x {x.shape[1]}, K = {arguments.codes}, L = {arguments.levels}")
    print(f"{arguments.threads} threads; numpy {np.__version__} with {blas['name']} {blas['version']}")
    print(f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()}), FAISS {faiss.__version__}")

    def fit_faiss() -> None:
        faiss.omp_set_num_threads(arguments.threads)
        quantizer = faiss.ResidualQuantizer(x.shape[1], arguments.levels, int(np.log2(arguments.codes)))
        quantizer.max_beam_size, quantizer.cp.min_points_per_centroid = 5, 1
        quantizer.train(x)

    def fit_ours(name: str) -> None:
        config = load_config(options={**options, "tokenizer.name": name.split(",")[0]})
        fit_tokenizer(split(sample if name == "drq" else replace(sample, behaviour=None), config), config)

    reference = shown("FAISS RQ beam 5", fit_faiss, None)
    for name in NAMES:
        shown(name, lambda name=name: fit_ours(name), reference)


def shown(name: str, fit: Callable[[], None], reference: float | None) -> float:
    """Do a fit and print its line; returns its CPU seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    fit()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    ratio = "" if reference is None else f"{cpu / reference:>8.2f}"
    print(f"{name:<16}{cpu:>8.1f} s CPU{wall:>8.1f} s{ratio}", flush=True)
    return cpu


if __name__ == "__main__":
    main()
