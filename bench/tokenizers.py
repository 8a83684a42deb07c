"""Compare the trainers with FAISS on items with embeddings, side by side.

    python bench/train_tokenizers.py FOLDER [--codes 256] [--levels 3] [--seeds 3] [--threads 2] [--only NAME ...]

FOLDER holds items.parquet with a list column `embedding`. Every tokenizer is fitted twice per seed: on all items (the
columns up to recall) and on 75 % of them (unseen: relative error of the others; the split changes with the seed). All
are judged by the same code through `Tokenizer`; capacity is that of the assigning codebooks at eta = 0.5, divided by K.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from drq_spark.config import Config, load_config
from drq_spark.measure.formulas import expected_overlap, perplexity
from drq_spark.sample.values import Sample
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.model import effective_rms
from drq_spark.train.driver import relative_mse, split, train_tokenizer
from drq_spark.train.registry import NAMES

F32 = NDArray[np.float32]
Fit = Callable[[F32, Config], Tokenizer]
_ETA, _NEIGHBOURS, _QUERIES, _UNSEEN = 0.5, 20, 1500, 0.25


def faiss_kmeans(x: F32, config: Config) -> Tokenizer:
    """faiss.Kmeans with its defaults on the residuals of each level."""
    residual, books = x.copy(), []
    for level, size in enumerate(config.tokenizer.codebook_sizes):
        kmeans = faiss.Kmeans(
            x.shape[1], size, niter=25, seed=1 + 10 * config.seed + level, max_points_per_centroid=len(x)
        )
        kmeans.train(residual)
        books.append(np.array(kmeans.centroids, np.float32))
        residual -= books[-1][kmeans.index.search(residual, 1)[1][:, 0]]
    return _tokenizer("faiss.Kmeans", x, books)


def faiss_residual_quantizer(x: F32, config: Config) -> Tokenizer:
    """faiss.ResidualQuantizer, beam 1, with its default progressive-dimension start."""
    size, levels = config.tokenizer.codebook_sizes[0], config.tokenizer.levels
    quantizer = faiss.ResidualQuantizer(x.shape[1], levels, int(np.log2(size)))
    quantizer.max_beam_size, quantizer.cp.seed = 1, 1 + config.seed
    quantizer.train(x)
    return _tokenizer("FAISS RQ beam 1", x, faiss.vector_to_array(quantizer.codebooks).reshape(levels, size, -1))


def ours(name: str) -> Fit:
    """The trainer of this name, on all rows it is given."""

    def fit(x: F32, config: Config) -> Tokenizer:
        named = config.tokenizer.model_copy(update={"name": name})
        none_held = config.sample.model_copy(update={"holdout": 0.0})
        return train_tokenizer(Sample(x, "bench"), config.model_copy(update={"tokenizer": named, "sample": none_held}))

    return fit


def _tokenizer(kind: str, x: F32, books: F32 | list[F32]) -> Tokenizer:
    return Tokenizer(kind, x.shape[1], "none", tuple(np.ascontiguousarray(b) for b in books), effective_rms(x))


class Judge:
    """The figures of one catalogue."""

    def __init__(self, x: F32) -> None:
        self.x = x
        self.queries = np.random.default_rng(5).choice(len(x), min(_QUERIES, len(x)), replace=False)
        self.neighbours = self._nearest(x)

    def in_sample(self, tokenizer: Tokenizer) -> list[float]:
        """relMSE, perplexity / K and K_eff / K per level, unique SIDs / N, recall of neighbours."""
        codes = tokenizer.encode(self.x).codes
        counts = [np.bincount(codes[:, i], minlength=k) for i, k in enumerate(tokenizer.codebook_sizes)]
        sigma = _ETA * tokenizer.latent_rms
        capacity = [
            1 / expected_overlap(c, b, sigma) / len(b) for c, b in zip(counts, tokenizer.codebooks, strict=True)
        ]
        return [
            relative_mse(tokenizer, self.x, self.x.mean(axis=0, dtype=np.float64)),
            *(perplexity(c) / len(c) for c in counts),
            *capacity,
            len(np.unique(tokenizer.keys(codes))) / len(codes),
            self._recall(tokenizer.decode(codes).astype(np.float32)),
        ]

    def _nearest(self, x: F32) -> NDArray[np.int64]:
        """The nearest other items of each query by cosine, int64 [queries, neighbours]."""
        unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        similarity = unit[self.queries] @ unit.T
        similarity[np.arange(len(self.queries)), self.queries] = -np.inf
        return np.argpartition(-similarity, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]

    def _recall(self, decoded: F32) -> float:
        pairs = zip(self._nearest(decoded), self.neighbours, strict=True)
        return float(np.mean([len(np.intersect1d(found, true)) / _NEIGHBOURS for found, true in pairs]))


def measure(fit: Fit, x: F32, config: Config, judge: Judge) -> list[float]:
    """The row of one tokenizer and one seed: in-sample figures, unseen relMSE, seconds of the fit on all items."""
    began = time.perf_counter()
    tokenizer = fit(x, config)
    seconds = time.perf_counter() - began
    parts = split(Sample(x, "bench"), config)
    mean = parts.fit.mean(axis=0, dtype=np.float64)
    return [*judge.in_sample(tokenizer), relative_mse(fit(parts.fit, config), parts.held_out, mean), seconds]


def rows(x: F32, arguments: argparse.Namespace) -> Iterator[str]:
    """The lines of the table: the mean over the seeds, then the spread (highest - lowest) of relMSE and unseen."""
    levels, judge = arguments.levels, Judge(x)
    heads = ["relMSE", *(f"ppl{i + 1}" for i in range(levels)), *(f"keff{i + 1}" for i in range(levels))]
    yield f"{'tokenizer':<16}" + "".join(
        f"{h:>8}" for h in [*heads, "unique", "recall", "unseen", "sec", "+-in", "+-un"]
    )
    fits: dict[str, Fit] = {"faiss.Kmeans": faiss_kmeans, "FAISS RQ beam 1": faiss_residual_quantizer}
    fits |= {name: ours(name) for name in NAMES}
    for name in arguments.only or fits:
        table = np.array([measure(fits[name], x, _config(arguments, seed), judge) for seed in range(arguments.seeds)])
        spread = np.ptp(table, axis=0)[[0, -2]]
        yield f"{name:<16}" + "".join(f"{value:8.3f}" for value in [*table.mean(axis=0), *spread])


def _config(arguments: argparse.Namespace, seed: int) -> Config:
    options = {
        "seed": seed,
        "tokenizer.codes": arguments.codes,
        "tokenizer.levels": arguments.levels,
        "sample.holdout": _UNSEEN,
        "train.threads": arguments.threads,
    }
    return load_config(options=options, settings=arguments.set)


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name, default in (("codes", 256), ("levels", 3), ("seeds", 3), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", nargs="*", help="names of the first column")
    parser.add_argument("--set", nargs="*", default=[], help="section.key=value")
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(arguments.threads)
    column = pq.read_table(arguments.folder / "items.parquet", columns=["embedding"])["embedding"].combine_chunks()
    x = np.array(column.flatten(), np.float32).reshape(len(column), -1)
    for line in rows(x, arguments):
        print(line, flush=True)


if __name__ == "__main__":
    main()
