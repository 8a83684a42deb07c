"""What the overlap of codewords predicts, against the codes that noise flips, for several tokenizers.

    python bench/perturbation.py FOLDER [--threads 1] [--to docs]

FOLDER holds items.parquet and events.parquet as for `tokenizers.py`; events are left out. Writes perturbation.md and
perturbation.png into the folder of --to. A few minutes for 5,000 items on one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

sys.path.insert(0, str(Path(__file__).parent))
from catalogues import load
from perturbation_page import CODES, ETAS, GREEDY, LEVELS, Point, page, plot

from drq_spark.arrays import F64, I32
from drq_spark.config import load_config
from drq_spark.formulas.overlap import expected_overlaps
from drq_spark.formulas.usage import inverse_simpson
from drq_spark.measure.perturbation.flips_worker import noisy
from drq_spark.sample.values import Sample
from drq_spark.tokenizer import Tokenizer
from drq_spark.train.driver import fit_tokenizer, split

_NAMES = ("rq_kmeans", "drq", "drq_vae", "rq_vae", "rqp_vae")


def flipped(tokenizer: Tokenizer, sample: Sample, before: I32) -> list[NDArray[np.bool_]]:
    """Per eta, which codes noise changes, bool [n, L]; all embeddings of a sample stay usable."""
    assert sample.split_key is not None
    perturbed = noisy(sample.x, sample.split_key.view(np.uint64), tokenizer, ETAS, ())
    return [found.codes != before for found in perturbed]


def points(
    name: str, tokenizer: Tokenizer, sample: Sample, before: I32, flips: Sequence[NDArray[np.bool_]]
) -> Iterator[Point]:
    """Prediction and observation for all levels and etas."""
    residual = tokenizer.latent(tokenizer.prepare_input(sample.x)).astype(np.float64)
    for level, book in enumerate(tokenizer.codebooks):
        code, sigmas = before[:, level], [eta * tokenizer.latent_rms[level] for eta in ETAS]
        counts = np.bincount(code, minlength=len(book))
        same = 1 / inverse_simpson(counts)
        overlaps = expected_overlaps([counts], book, sigmas)[0].tolist()
        distance = _boundaries(residual, code, tokenizer, level) if tokenizer.beam == 1 else np.full((1, 2), np.nan)
        for eta, sigma, overlap, flip in zip(ETAS, sigmas, overlaps, flips, strict=True):
            chance, early = ndtr(-distance / sigma), flip[:, :level].any(axis=1)
            yield Point(
                name, level + 1, eta, 1 - same / overlap, overlap - same, float(chance.max(axis=1).mean()),
                float(chance.sum(axis=1).clip(max=1).mean()), float(flip[:, level].mean()),
                float(flip[~early, level].mean()), float(flip[early, level].mean()) if early.any() else float("nan"),
            )  # fmt: skip
        residual = residual - book[code]


def _boundaries(residual: F64, code: I32, tokenizer: Tokenizer, level: int) -> F64:
    """Distances of residuals [n, d] to the boundaries between their code s and every other, float64 [n, K].

    (cost_j - cost_s) / (2 ||c_j - c_s||), prices included; inf for s itself.
    """
    book, row = tokenizer.codebooks[level].astype(np.float64), np.arange(len(residual))
    price = 0 if tokenizer.prices is None else tokenizer.prices[level]
    cost = np.square(book).sum(axis=1) - 2 * residual @ book.T + price
    apart = np.sqrt(np.maximum(_squared(book), 1e-300))[code]
    distance = (cost - cost[row, code, None]) / (2 * apart)
    distance[row, code] = np.inf
    return np.asarray(distance)


def _squared(book: F64) -> F64:
    """||c_i - c_j||^2, [K, K]."""
    square = np.square(book).sum(axis=1)
    return np.asarray(square[:, None] + square - 2 * book @ book.T)


def trained(name: str, sample: Sample, arguments: argparse.Namespace) -> Tokenizer:
    """Fitted to all items, without events."""
    options = {
        "tokenizer.name": name, "tokenizer.codes": CODES, "tokenizer.levels": LEVELS, "sample.holdout": 0.0,
        "train.threads": arguments.threads, "train.device": "cpu",
    }  # fmt: skip
    config = load_config(options=options)
    return fit_tokenizer(split(sample, config), config)


def main() -> None:
    """Read the arguments, train, perturb, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--to", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    sample = replace(load(arguments.folder), behaviour=None)
    tokenizers = {name: trained(name, sample, arguments) for name in _NAMES}
    tokenizers[GREEDY] = replace(tokenizers["drq"], beam=1)
    found: list[Point] = []
    survival: dict[str, list[float]] = {}
    for name, tokenizer in tokenizers.items():
        before = tokenizer.encode(sample.x).codes
        flips = flipped(tokenizer, sample, before)
        found += points(name, tokenizer, sample, before, flips)
        survival[name] = [float(1 - flip.any(axis=1).mean()) for flip in flips]
    compared, greedy = ([point for point in found if (point.name == GREEDY) == apart] for apart in (False, True))
    text = page(compared, greedy, survival, arguments.folder.name, len(sample.x))
    (arguments.to / "perturbation.md").write_text(text)
    plot(compared, arguments.to / "perturbation.png")


if __name__ == "__main__":
    main()
