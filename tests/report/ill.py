"""Made catalogues with one illness each, and their figures by the formulas of a real run."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drq_spark.config import Measure
from drq_spark.formulas.usage import LevelUsage
from drq_spark.measure.aggregates import BucketSums, Mass, PrefixSums, latent_scales
from drq_spark.measure.figures import Aggregates, AssignmentTotals, all_figures
from drq_spark.metrics import MetricRow
from drq_spark.tokenizer import Tokenizer

ITEMS, LEVELS, CODES, DIM = 20_000, 3, 64, 16


@dataclass(frozen=True)
class Made:
    """Codes [N, L], codebooks, exposure [N] and the number of the embedding of every item [N]."""

    codes: NDArray[np.int64]
    books: tuple[NDArray[np.float32], ...]
    exposure: NDArray[np.float64]
    embedding: NDArray[np.int64]

    def with_codes(self, level: int, codes: NDArray[np.int64]) -> Made:
        """Other codes of a level."""
        changed = self.codes.copy()
        changed[:, level - 1] = codes
        return replace(self, codes=changed)

    def with_book(self, level: int, scale: float) -> Made:
        """A codebook of another spread."""
        books = list(self.books)
        books[level - 1] = books[level - 1] * np.float32(scale)
        return replace(self, books=tuple(books))


def healthy(codes: int = CODES, seed: int = 0) -> Made:
    """Even use of well spread codewords, far more SIDs than items, no copies."""
    rng = np.random.default_rng(seed)
    books = tuple(rng.normal(size=(codes, DIM)).astype(np.float32) for _ in range(LEVELS))
    return Made(rng.integers(0, codes, (ITEMS, LEVELS)), books, rng.gamma(2.0, size=ITEMS), np.arange(ITEMS))


def figures(made: Made) -> list[MetricRow]:
    """What a run would have measured; the latents have an RMS of 1 per effective coordinate."""
    sizes = [len(book) for book in made.books]
    usage = [
        LevelUsage(np.bincount(codes, minlength=size), np.bincount(codes, made.exposure, size))
        for codes, size in zip(made.codes.T, sizes, strict=True)
    ]
    left, sure = np.array([0.7, 0.5, 0.3]), np.ones(LEVELS)
    totals = AssignmentTotals(ITEMS, 0.3, 0.9 * ITEMS, 1.0, 1.0, left, sure, np.zeros(LEVELS, np.int64))
    counted = Aggregates(
        rows_in=ITEMS,
        rows_quarantined=0,
        usage=usage,
        prefixes=[_sums(made.codes[:, : level + 1], made.exposure) for level in range(LEVELS)],
        buckets=_buckets(made),
        segments=None,
        totals=totals,
        churn=None,
    )
    tokenizer = Tokenizer("rq_kmeans", DIM, "none", made.books, (1.0,) * LEVELS)
    return all_figures(counted, tokenizer, latent_scales(tokenizer, Measure()))


def _sums(prefixes: NDArray[np.int64], exposure: NDArray[np.float64]) -> PrefixSums:
    _, place, n = np.unique(prefixes, axis=0, return_inverse=True, return_counts=True)
    e = np.bincount(place.ravel(), exposure)
    return PrefixSums(len(n), int(n.sum()), float((n * np.log(n)).sum()), float(e.sum()), float((e * np.log(e)).sum()))


def _buckets(made: Made) -> BucketSums:
    _, place, n = np.unique(made.codes, axis=0, return_inverse=True, return_counts=True)
    place = place.ravel()
    e = np.bincount(place, made.exposure)
    pairs = np.unique(np.stack([place, made.embedding]), axis=1)
    m = np.bincount(pairs[0], minlength=len(n))

    def mass(chosen: NDArray[np.bool_]) -> Mass:
        return Mass(int(n[chosen].sum()), float(e[chosen].sum()))

    return BucketSums(
        sids=len(n),
        all=mass(n > 0),
        largest=int(n.max()),
        sum_squares=int((n * n).sum()),
        exposure_squares=float((e * e).sum()),
        shared=mass(n > 1),
        harmful=mass((n > 1) & (m > 1)),
        duplicates=mass((n > 1) & (m == 1)),
        distinct_embeddings=len(np.unique(made.embedding)),
        segments={},
    )
