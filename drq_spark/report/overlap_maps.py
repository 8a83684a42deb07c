"""The picture of which codes overlap: a few codes of each level, similar ones side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from drq_spark.formulas.overlap import overlap_matrix
from drq_spark.formulas.usage import LevelUsage
from drq_spark.tokenizer import Tokenizer

MOST = 96  # codes in a picture: as many as can be told apart in its width


def overlap_maps(tokenizer: Tokenizer, usage: Sequence[LevelUsage], eta: float) -> tuple[NDArray[np.float32], ...]:
    """`overlap_map` of every level, at sigma = eta * latent_rms."""
    weights = tokenizer.weights or (None,) * tokenizer.levels
    parts = zip(usage, tokenizer.codebooks, weights, tokenizer.latent_rms, strict=True)
    return tuple(overlap_map(used.items, book, eta * unit, weight) for used, book, weight, unit in parts)


def overlap_map(
    counts: NDArray[np.int64], codebook: NDArray[np.float32], sigma: float, weight: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Overlaps float32 [m, m] of the m <= 96 most used codes, ties by lowest code, see `formulas.codeword_overlap`.

    Their order is that of the leaves of average linkage on their distances, neighbours turned to each other
    (Bar-Joseph, Gifford, Jaakkola 2001).
    """
    chosen = np.argsort(-counts, kind="stable")[: min(MOST, int(np.count_nonzero(counts)))]
    if not len(chosen):
        return np.zeros((0, 0), np.float32)
    distance, overlap = overlap_matrix(codebook[chosen], sigma, weight)
    if len(chosen) > 2:  # fewer have but one order
        condensed = squareform((distance + distance.T) / 2, checks=False)
        order = leaves_list(linkage(condensed, "average", optimal_ordering=True))
        overlap = overlap[np.ix_(order, order)]
    return overlap.astype(np.float32)
