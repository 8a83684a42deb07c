"""What training costs against the number of items, codes and dimensions, with FAISS's ResidualQuantizer beside it.

    python bench/training_scale.py [--rows 100000 1000000] [--codes 256 1024] [--dims 128] [--levels 3] [--threads 2]
                                   [--tokenizer drq] [--set section.key=value ...] [--faiss]

Items are a mixture of 20,000 Gaussians with Zipf sizes, each with a spectrum that falls like 1 / k. A line has the
wall-clock seconds of the fit, the peak memory of its process beyond the raw sample, and the relative error on 10 % of
the items that the fit did not see. Every fit runs in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from typing import Any

import numpy as np

from drq_spark.arrays import F32


def mixture(rows: int, dim: int, seed: int = 0) -> F32:
    """Float32 [rows, dim], made block by block."""
    rng = np.random.default_rng(seed)
    clusters = min(20_000, rows // 4)
    spectrum = (1 / np.sqrt(np.arange(1, dim + 1))).astype(np.float32)
    centres = rng.normal(size=(clusters, dim)).astype(np.float32) * spectrum
    share = 1 / np.arange(1, clusters + 1) ** 0.8
    chosen = rng.choice(clusters, size=rows, p=share / share.sum())
    x = np.empty((rows, dim), np.float32)
    for start in range(0, rows, 50_000):
        part = slice(start, start + 50_000)
        noise = rng.normal(size=x[part].shape).astype(np.float32)
        x[part] = centres[chosen[part]] + 0.5 * noise * spectrum
    return x


def peak_bytes() -> int:
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fit_ours(x: F32, arguments: argparse.Namespace, codes: int) -> dict[str, Any]:
    """One fit of a trainer of ours."""
    from drq_spark.config import load_config
    from drq_spark.sample.values import Sample
    from drq_spark.train.driver import fit_tokenizer, split

    options = {
        "tokenizer.name": arguments.tokenizer, "tokenizer.codes": codes, "tokenizer.levels": arguments.levels,
        "train.threads": arguments.threads, "train.max_memory_gb": 1000,
    }  # fmt: skip
    config = load_config(options=options, settings=arguments.set)
    data = split(Sample(x, "bench"), config)
    before, began = peak_bytes(), time.perf_counter()
    tokenizer = fit_tokenizer(data, config)
    levels = tokenizer.training["levels"]["fit"]
    return {
        "seconds": time.perf_counter() - began,
        "more_gb": (peak_bytes() - before) / 1e9,
        "unseen": tokenizer.training["held_out_relative_mse"],
        "perplexity": [round(level["perplexity"], 3) for level in levels],
    }


def fit_faiss(x: F32, arguments: argparse.Namespace, codes: int) -> dict[str, Any]:
    """One fit of faiss.ResidualQuantizer with beam 1 on the same rows."""
    import faiss

    faiss.omp_set_num_threads(arguments.threads)
    held_out = len(x) // 10
    quantizer = faiss.ResidualQuantizer(x.shape[1], arguments.levels, int(np.log2(codes)))
    quantizer.max_beam_size = 1
    before, began = peak_bytes(), time.perf_counter()
    quantizer.train(x[held_out:])
    seconds = time.perf_counter() - began
    decoded = quantizer.decode(quantizer.compute_codes(x[:held_out]))
    mean = x[held_out:].mean(axis=0, dtype=np.float64)
    unseen = float(np.square(x[:held_out] - decoded).sum() / np.square(x[:held_out] - mean).sum())
    return {"seconds": seconds, "more_gb": (peak_bytes() - before) / 1e9, "unseen": unseen, "perplexity": []}


def one(kind: str, rows: int, dim: int, codes: int, arguments: argparse.Namespace, results: Any) -> None:
    """A fit in this process."""
    x = mixture(rows, dim)
    results.put((fit_faiss if kind == "FAISS beam 1" else fit_ours)(x, arguments, codes))


def main() -> None:
    """Read the arguments and print a line per fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", [100_000]), ("codes", [256, 1024]), ("dims", [128])):
        parser.add_argument(f"--{name}", type=int, nargs="*", default=default)
    parser.add_argument("--levels", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokenizer", default="drq")
    parser.add_argument("--set", nargs="*", default=[], help="section.key=value")
    parser.add_argument("--faiss", action="store_true", help="FAISS's ResidualQuantizer beside it")
    arguments = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    print(f"{'':<14}{'rows':>9}{'dim':>6}{'K':>6}{'seconds':>9}{'GB':>7}{'unseen':>8}  perplexity / K", flush=True)
    for rows in arguments.rows:
        for dim in arguments.dims:
            for codes in arguments.codes:
                for kind in (arguments.tokenizer, *(["FAISS beam 1"] if arguments.faiss else [])):
                    results = spawn.Queue()
                    process = spawn.Process(target=one, args=(kind, rows, dim, codes, arguments, results))
                    process.start()
                    found = results.get()
                    process.join()
                    print(f"{kind:<14}{rows:>9}{dim:>6}{codes:>6}{found['seconds']:>9.1f}{found['more_gb']:>7.2f}"
                          f"{found['unseen']:>8.4f}  {found['perplexity']}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
