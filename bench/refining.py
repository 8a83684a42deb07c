"""What train.refine gains: a tokenizer of a small sample, bettered on all items, against one of all items.

    python bench/refining.py FOLDER [--sample 2000] [--passes 5] [--seeds 2] [--tokenizer drq]

FOLDER has items.parquet (item_id, embedding). No Spark: the sums are those of the workers. Prints relative MSE of items
that nobody has seen, unique SIDs and evenness of use of all items, and seconds of one thread.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from drq_spark.config import load_config
from drq_spark.refine.corpus_sums import SUMS, CorpusSums, Question, Steps, TaskSums, merged
from drq_spark.refine.solution import solved_books, solved_tables
from drq_spark.sample.values import Sample
from drq_spark.train.contract import TrainingData
from drq_spark.train.driver import train_tokenizer
from drq_spark.train.evaluation import encoded, reconstruction_error
from drq_spark.train.residual import repriced


def sums_of(x, tokenizer, steps):
    """The sums of one task with all rows."""
    task = TaskSums(Question(tokenizer, steps))
    task.add(x)
    return CorpusSums.of(pa.Table.from_batches(merged(task.rows()), SUMS), tokenizer.codebook_sizes, x.shape[1], steps)


def figures(tokenizer, x, unseen, mean):
    """Relative MSE of unseen rows; share of unique SIDs and least perplexity / K over all."""
    codes = encoded(tokenizer, x)
    use = [
        np.bincount(codes[:, level], minlength=size) / len(codes) for level, size in enumerate(tokenizer.codebook_sizes)
    ]
    even = [float(np.exp(-(p[p > 0] * np.log(p[p > 0])).sum())) / len(p) for p in use]
    unique = len(np.unique(codes, axis=0)) / len(codes)
    return reconstruction_error(tokenizer, unseen, mean), unique, " ".join(f"{value:.3f}" for value in even)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sample", type=int, default=2000)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--tokenizer", default="drq")
    parser.add_argument("--codes", type=int, default=256)
    asked = parser.parse_args()
    column = pq.read_table(asked.folder / "items.parquet", columns=["embedding"])["embedding"].combine_chunks()
    x = np.asarray(column.flatten(), np.float32).reshape(len(column), -1)
    for seed in range(asked.seeds):
        rows = np.random.default_rng(seed).permutation(len(x))
        unseen, seen = x[rows[: len(x) // 10]], x[rows[len(x) // 10 :]]
        mean = seen.mean(axis=0, dtype=np.float64)
        options = {"tokenizer.name": asked.tokenizer, "tokenizer.codes": asked.codes, "train.threads": 1, "seed": seed}
        config = load_config(options=options | {"sample.holdout": 0.0})
        for name, fitted_on in (("sample", seen[: asked.sample]), ("all", seen)):
            start = time.process_time()
            tokenizer = train_tokenizer(Sample(fitted_on, "bench"), config)
            spent = time.process_time() - start
            error, unique, even = figures(tokenizer, x, unseen, mean)
            print(f"seed {seed} {name:8} unseen {error:.4f} unique {unique:.4f} even {even} {spent:.0f} s", flush=True)
            if name == "all":
                continue
            steps = Steps.of(float(np.abs(fitted_on).max()), x.shape[1], len(x))
            for number in range(1, asked.passes + 1):
                start = time.process_time()
                sums = sums_of(seen, tokenizer, steps)
                settled = solved_tables(tokenizer, sums)
                tokenizer = solved_books(settled, sums)
                if tokenizer.prices is not None:
                    tokenizer = repriced(tokenizer, TrainingData(fitted_on, 0, "bench"), config, sums.items, number)
                spent = time.process_time() - start
                error, unique, even = figures(settled, x, unseen, mean)
                print(
                    f"seed {seed} pass {number:3} unseen {error:.4f} unique {unique:.4f} even {even} {spent:.0f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
