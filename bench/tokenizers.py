"""Compare the tokenizers with each other and with FAISS on a catalogue, side by side.

    python bench/tokenizers.py FOLDER [--codes 256] [--levels 3] [--seeds 3] [--first-seed 0] [--threads 2]
                               [--only NAME ...]
                               [--set section.key=value ...] [--no-events] [--dials 0 0.5 1] [--to FILE]

FOLDER holds items.parquet (item_id, exposure, embedding) and events.parquet (basket_id, item_id, position). Every
tokenizer is fitted twice per seed: on all items (all columns but unseen) and on 75 % of them (unseen: relative error of
the others; the split changes with the seed). All are judged by `judge.py` through `Tokenizer`; behaviour by the pairs
of baskets that training never sees. --dials repeats every tokenizer for these values of tokenizer.balance. --to appends
one JSON line per fit, from which `tokenizer_page.py` makes the page.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from catalogues import load
from judge import Judge

from drq_spark.arrays import F32
from drq_spark.config import Config, load_config
from drq_spark.kinds import KINDS
from drq_spark.sample.values import Sample
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.latent_unit import effective_rms
from drq_spark.train.driver import fit_tokenizer, split
from drq_spark.train.evaluation import reconstruction_error

Fit = Callable[[Sample, Config], Tokenizer]
_UNSEEN = 0.25
_SHOWN = ("relative_mse", "unseen", "recall@20", "perplexity", "perplexity_by_exposure", "k_eff", "unique",
          "auc_popularity", "auc_uniform", "retention@20", "retention@200", "seconds")  # fmt: skip


def faiss_kmeans(sample: Sample, config: Config) -> Tokenizer:
    """faiss.Kmeans with its defaults on the residuals of each level."""
    x = split(sample, config).fit
    residual, books = x.copy(), []
    for level, size in enumerate(config.tokenizer.codebook_sizes):
        kmeans = faiss.Kmeans(
            x.shape[1], size, niter=25, seed=1 + 10 * config.seed + level, max_points_per_centroid=len(x),
            min_points_per_centroid=1,
        )  # fmt: skip
        kmeans.train(residual)
        books.append(np.array(kmeans.centroids, np.float32))
        residual -= books[-1][kmeans.index.search(residual, 1)[1][:, 0]]
    return _tokenizer("faiss.Kmeans", x, books, 1)


def faiss_residual_quantizer(beam: int) -> Fit:
    """faiss.ResidualQuantizer with its default progressive-dimension start."""

    def fit(sample: Sample, config: Config) -> Tokenizer:
        x = np.ascontiguousarray(split(sample, config).fit)
        size, levels = config.tokenizer.codebook_sizes[0], config.tokenizer.levels
        quantizer = faiss.ResidualQuantizer(x.shape[1], levels, int(np.log2(size)))
        quantizer.max_beam_size, quantizer.cp.seed = beam, 1 + config.seed
        quantizer.cp.min_points_per_centroid = 1  # FAISS only warns of fewer, hundreds of times
        quantizer.train(x)
        books = faiss.vector_to_array(quantizer.codebooks).reshape(levels, size, -1)
        return _tokenizer(f"FAISS RQ beam {beam}", x, books, beam)

    return fit


def ours(name: str) -> Fit:
    """The trainer of this name."""

    def fit(sample: Sample, config: Config) -> Tokenizer:
        named = config.tokenizer.model_copy(update={"name": name})
        settings = config.model_copy(update={"tokenizer": named})
        return fit_tokenizer(split(sample, settings), settings)

    return fit


def _tokenizer(kind: str, x: F32, books: F32 | list[F32], beam: int) -> Tokenizer:
    rms = effective_rms(x, (None,) * len(books))
    return Tokenizer(kind, x.shape[1], "none", tuple(np.ascontiguousarray(b) for b in books), rms, beam=beam)


FITS: dict[str, Fit] = {
    "faiss.Kmeans": faiss_kmeans,
    "FAISS RQ beam 1": faiss_residual_quantizer(1),
    "FAISS RQ beam 5": faiss_residual_quantizer(5),
    **{name: ours(name) for name in KINDS},
}


def reseeded(sample: Sample, seed: int) -> Sample:
    """Split by other keys: equal ids still have equal ones."""

    def mixed(key: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.array([hash((seed, value)) for value in key.tolist()], np.int64)

    behaviour, key = sample.behaviour, sample.split_key
    assert key is not None
    if behaviour is not None:
        behaviour = replace(behaviour, split_key=mixed(behaviour.split_key))
    return replace(sample, split_key=mixed(key), behaviour=behaviour)


def measured(fit: Fit, sample: Sample, config: Config, judge: Judge) -> dict[str, Any]:
    """The figures of one tokenizer and one seed."""
    whole = config.model_copy(update={"sample": config.sample.model_copy(update={"holdout": 0.0})})
    began = time.perf_counter()
    tokenizer = fit(sample, whole)
    seconds = time.perf_counter() - began
    figures = judge(tokenizer)
    parts = split(sample, config)
    mean = parts.fit.mean(axis=0, dtype=np.float64)
    fitted = fit(sample, config)
    unseen = reconstruction_error(fitted, parts.held_out, mean)
    told = {"budget": tokenizer.training.get("fidelity_budget"), "curves": curves(fitted)}
    return {**figures, "unseen": unseen, "seconds": seconds, **told}


def curves(tokenizer: Tokenizer) -> dict[str, Any]:
    """How the training of its networks went: name of a stage -> steps, and the figure that judged them."""
    training = tokenizer.training
    stages = {"end to end": training, "VAE": training.get("vae", {}), "contrast": training.get("contrast", {})}
    return {name: stage["curve"] for name, stage in stages.items() if "curve" in stage}


def line(name: str, rows: list[dict[str, Any]]) -> str:
    """Means over the seeds as text."""
    cells = [np.atleast_1d(np.mean([row[key] for row in rows], axis=0)) for key in _SHOWN if key in rows[0]]
    return f"{name:<16}" + " | ".join(" ".join(f"{value:.3f}" for value in cell) for cell in cells)


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name, default in (("codes", 256), ("levels", 3), ("seeds", 3), ("first-seed", 0), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", nargs="*", help="names of the first column")
    parser.add_argument("--set", nargs="*", default=[], help="section.key=value")
    parser.add_argument("--no-events", action="store_true", help="train without behaviour")
    parser.add_argument("--dials", nargs="*", type=float, default=[None], help="values of tokenizer.balance")
    parser.add_argument("--to", type=Path, help="file for JSON lines")
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(arguments.threads)
    sample = load(arguments.folder)
    judge = Judge(sample)
    if arguments.no_events:
        sample = replace(sample, behaviour=None)
    print(" | ".join(_SHOWN), "raw:", judge.raw, flush=True)
    for name in arguments.only or FITS:
        for dial in arguments.dials:
            rows = []
            for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
                rows.append(measured(FITS[name], reseeded(sample, seed), config_of(name, seed, dial, arguments), judge))
                if arguments.to:
                    told = {"catalogue": arguments.folder.name, "events": sample.behaviour is not None, "dial": dial}
                    with arguments.to.open("a") as file:
                        file.write(json.dumps({**told, "tokenizer": name, "seed": seed, **rows[-1]}) + "\n")
            print(line(name if dial is None else f"{name} {dial:g}", rows), flush=True)


def config_of(name: str, seed: int, dial: float | None, arguments: argparse.Namespace) -> Config:
    """The settings of one fit."""
    options = {
        "seed": seed, "tokenizer.codes": arguments.codes, "tokenizer.levels": arguments.levels,
        "sample.holdout": _UNSEEN, "train.threads": arguments.threads,
        "tokenizer.name": name if name in KINDS else "rq_kmeans",
    }  # fmt: skip
    return load_config(
        options=options if dial is None else {**options, "tokenizer.balance": dial}, settings=arguments.set
    )


if __name__ == "__main__":
    main()
