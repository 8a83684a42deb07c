"""Training and assignment with a GPU beside the processor alone, and whether the SIDs are the same to the bit.

    python bench/gpu.py [--rows 200000] [--dim 128] [--codes 256 1024] [--beams 1 4] [--tokenizer drq] [--stand-in]

Wall-clock seconds. Training: `train.device` cuda and cpu, all threads; the two fits add up in other orders, so that
their books differ in the last digits, and their errors are printed. Assignment: what a task does with its rows,
encoding, margins and fidelity sums, by one thread, warm, the best of three rounds; with a GPU the products are made on
it. Every code, margin and residual norm is compared, and a difference is exit code 1.

`--stand-in`: without a GPU, torch on the processor multiplies in its place. It shows that the bits agree, and nothing
about speed.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of numpy, read when it is loaded: a task computes with one thread

from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

import drq_spark
from drq_spark.arrays import F32
from drq_spark.assign.assignment_worker import Assigned, assign_rows
from drq_spark.gpu.torch_products import TorchProducts
from drq_spark.tokenizer import Tokenizer, kernel_choice
from drq_spark.tokenizer.gpu_tokenizer import GpuTokenizer

ROUNDS = 3


def processor() -> str:
    """Its name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def items(rows: int, dim: int) -> F32:
    """Rows about 2,000 centres, with a spectrum that falls."""
    rng = np.random.default_rng(0)
    spectrum = 1 / np.sqrt(np.arange(1, dim + 1))
    centres = rng.normal(size=(2000, dim))
    return ((centres[rng.integers(0, 2000, rows)] + 0.5 * rng.normal(size=(rows, dim))) * spectrum).astype(np.float32)


def fitted(x: F32, name: str, codes: int, device: str) -> Tokenizer:
    """A tokenizer of the rows, with a line on what it took."""
    settings = {"train.device": device, "train.max_memory_gb": 1000, "sample.size": len(x)}
    began = perf_counter()
    tokenizer = drq_spark.fit(x, codes=codes, tokenizer=name, settings=settings)
    seconds = perf_counter() - began
    totals = assign_rows(x[:20_000], tokenizer).totals
    print(f"train   K = {codes:<5} {device:<5} {seconds:8.1f} s   squared error {totals.squared_error:.6g}", flush=True)
    return tokenizer


def assigned(x: F32, tokenizer: Tokenizer, name: str) -> Assigned:
    """The SIDs of the rows, with a line on what the best round took."""
    found, best = assign_rows(x, tokenizer), float("inf")
    for _ in range(ROUNDS):
        began = perf_counter()
        found = assign_rows(x, tokenizer)
        best = min(best, perf_counter() - began)
    by_float64 = " ".join(f"{share:.2%}" for share in found.totals.uncertain / len(x))
    shape = f"K = {tokenizer.codebook_sizes[0]:<5} beam {tokenizer.beam}"
    print(f"assign  {shape} {name:<5} {len(x) / best:>12,.0f} rows/s   decided in float64: {by_float64}", flush=True)
    return found


def agree(one: Assigned, other: Assigned) -> bool:
    """Whether all bits of the rows are the same."""
    names = ("codes", "sid", "margin", "residual_norm")
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in names)


def main() -> int:
    """Print all lines; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--codes", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--tokenizer", default="drq")
    parser.add_argument("--stand-in", action="store_true")
    asked = parser.parse_args()
    if not asked.stand_in and not torch.cuda.is_available():
        print("torch sees no GPU: --stand-in shows without one that the bits agree", file=sys.stderr)
        return 1
    kernel_choice.WORK_OF_LOADING = kernel_choice.WORK_OF_COMPILING = 0  # compiled code from the first row on
    gpu = "none, torch on the processor stands in" if asked.stand_in else torch.cuda.get_device_name(0)
    print(f"GPU: {gpu}\nprocessor: {processor()}, {os.cpu_count()} cores")
    print(f"torch {torch.__version__}, numpy {np.__version__}; {asked.rows:,} x {asked.dim}, three levels")
    x, same = items(asked.rows, asked.dim), []
    for codes in asked.codes:
        tokenizer = fitted(x, asked.tokenizer, codes, "cpu")
        if not asked.stand_in:
            fitted(x, asked.tokenizer, codes, "cuda")
        for beam in asked.beams:
            on_cpu = replace(tokenizer, beam=beam)
            on_gpu = GpuTokenizer.of(on_cpu, TorchProducts("cpu" if asked.stand_in else "cuda:0"))
            same.append(agree(assigned(x, on_cpu, "cpu"), assigned(x, on_gpu, "gpu")))
            print(f"codes, margins and residual norms agree to the bit: {'yes' if same[-1] else 'NO'}", flush=True)
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
