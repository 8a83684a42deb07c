"""Expected overlap of codewords and effective capacity: K_eff = 1 / O_pi = K D G.

Conventions: `counts` are uses of the codes of one level, [K], unused codes as 0; items (int) or exposure (float) alike,
so that pi_k = counts_k / sum counts. A figure that does not exist (nothing counted, no variance) is nan: callers leave
its row out.

Sources:
    DRQ: arXiv 2606.01844, expected codeword overlap and effective capacity.
    Leinster & Cobbold 2012: Measuring diversity: the importance of species similarity, Ecology 93(3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erfc

from drq_spark.arrays import F64
from drq_spark.blocks import row_blocks
from drq_spark.formulas.duplicates import different_rows
from drq_spark.formulas.usage import Counts, shares_of, simpson

REACH = 17.8
"""Codewords further apart than this many sigma overlap by less than 1e-18, which counts as 0."""

_TILE_ELEMENTS = 2**21  # float64 numbers of one block of codewords or of distances: 16 MiB
_CANCELLED = 2.0**-20  # squared distances this small beside the norms have lost too many digits to subtraction


def codeword_overlap(distance: ArrayLike, sigma: float, price_gap: ArrayLike = 0.0) -> F64:
    """Overlap of two codewords blurred by N(0, sigma^2 I): OVL = 2 Phi(-d / (2 sigma)) = erfc(d / (2 sqrt2 sigma)).

    Source: DRQ. It is the area that the two bells share, twice the chance that one blurred codeword ends up nearer to
    the other. It is 1 at distance 0, whatever sigma; at sigma = 0 it is 0 elsewhere, as it is beyond `REACH`.

    Prices move the boundary along D to (d^2 + b_j - b_i) / (2 d) from codeword i, so that the two chances differ:

        OVL = Phi(-(d^2 + g) / (2 d sigma)) + Phi(-(d^2 - g) / (2 d sigma)), g = b_i - b_j.

    That is never less than without prices, and half of it is the mean chance that one is taken for the other.

    Args:
        distance: Distances in the metric that codes are chosen by, any shape, not negative.
        sigma: Scale of the perturbation per coordinate in that metric, not negative.
        price_gap: g, of the shape of the distances, or 0.

    >>> codeword_overlap([0.0, 2.0], 1.0).round(4).tolist()  # 2 Phi(-1)
    [1.0, 0.3173]
    >>> codeword_overlap([2.0], 1.0, [2.0]).round(4).tolist()  # Phi(-1.5) + Phi(-0.5)
    [0.3753]
    """
    if not sigma >= 0:
        raise ValueError(f"sigma must be 0 or more, not {sigma}")
    apart, gap = np.asarray(distance, np.float64), np.asarray(price_gap, np.float64)
    if not gap.any():
        return _twice_tail(apart, sigma)
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.where(apart > 0, gap / apart, 0.0)
    both = _twice_tail(apart + moved, sigma) + _twice_tail(apart - moved, sigma)
    return np.where(apart > 0, both / 2, 1.0)


def _twice_tail(distance: F64, sigma: float) -> F64:
    """2 Phi(-d / (2 sigma)): 0 from `REACH` on, 1 at d = 0 whatever sigma, up to 2 below 0."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scaled = np.where(distance != 0, distance / (sigma * np.sqrt(8.0)), 0.0)
    near = scaled < REACH / np.sqrt(8.0)
    if near.mean() > 0.5:  # picking them out would cost more than the rest of erfc
        return np.where(near, erfc(scaled), 0.0)
    overlap = np.zeros(scaled.shape)
    overlap[near] = erfc(scaled[near])  # not erfc(.., where=near): that breaks the heap with some versions of scipy
    return overlap


def expected_overlap(counts: Counts, codebook: NDArray[np.floating], sigma: float) -> float:
    """O_pi(sigma) = sum_ij pi_i pi_j OVL(i, j): mean overlap of the codes of two items drawn at random; in (0, 1].

    Source: DRQ; the mean ordinariness of Leinster & Cobbold with OVL as similarity. It is exact over all pairs. At
    sigma = 0 it is sum pi^2 with coinciding codewords counted as one.

    Args:
        counts: [K].
        codebook: [K, d].
        sigma: See `codeword_overlap`.

    >>> book = np.array([[0.0], [2.0]])
    >>> round(expected_overlap(np.array([1, 1]), book, 1.0), 4)  # (2 * 1 + 2 * 0.3173) / 4
    0.6587
    """
    return float(expected_overlaps([counts], codebook, [sigma])[0, 0])


def expected_overlaps(
    weightings: Sequence[Counts],
    codebook: NDArray[np.floating],
    sigmas: Sequence[float],
    weight: NDArray[np.floating] | None = None,
    price: NDArray[np.floating] | None = None,
) -> F64:
    """`expected_overlap` [V, S] for V weightings of the same codes and S sigmas, with one pass over the pairs.

    Where codes are chosen by ||W (r - c)||, W = diag(weight), everything is in the metric of W: the distance of two
    codewords is ||W (c_i - c_j)|| and sigma is the scale of the perturbation of W r. Multiplying W by a number (and
    prices by its square) changes nothing.

    Blocks of pairs keep memory at about 100 MB beside the codebook, whatever K; distances are float64.

    Args:
        weightings: Counts [K] each.
        codebook: [K, d].
        sigmas: Scales of the perturbation of W r.
        weight: [d], None for ones.
        price: b [K], what is added to the squared distance when a code is chosen; None for none.
    """
    shares = np.stack([shares_of(counts) for counts in weightings])
    if codebook.ndim != 2 or len(codebook) != shares.shape[1]:
        raise ValueError(f"the codebook must be [{shares.shape[1]}, d], not of shape {codebook.shape}")
    told_apart_by = codebook if price is None else np.column_stack([codebook, price])
    shares, codewords = _merged(shares, told_apart_by)
    prices = np.zeros(len(codewords)) if price is None else price[codewords].astype(np.float64)
    between = np.zeros((len(shares), len(sigmas)))
    for rows, columns, distance in pair_distances(codebook, codewords, weight):
        if rows == columns:
            np.fill_diagonal(distance, np.inf)
        gap = 0.0 if price is None else prices[rows][:, None] - prices[columns]
        nearest = distance.min()
        for index, sigma in enumerate(sigmas):
            if price is None and nearest > REACH * sigma:
                continue
            overlap = codeword_overlap(distance, sigma, gap)
            pairs = ((shares[:, rows] @ overlap) * shares[:, columns]).sum(axis=1)
            between[:, index] += pairs if rows == columns else 2 * pairs
    # the diagonal apart, without rounding of distances: K_eff = 1 / sum pi^2 exactly where no codewords overlap
    return np.asarray(np.minimum(np.square(shares).sum(axis=1, keepdims=True) + between, 1.0))


def _merged(shares: F64, rows: NDArray[np.floating]) -> tuple[F64, NDArray[np.intp]]:
    """Shares [W, M] and places [M] of the different rows in use: copies of a codeword (overlap 1) count as one."""
    used = np.flatnonzero((shares != 0).any(axis=0))  # nan counts as used: it must come out as nan
    first, group = different_rows(rows[used])
    merged = np.zeros((len(first), len(shares)))
    np.add.at(merged, group, shares[:, used].T)
    return merged.T, used[first]


def pair_distances(
    codebook: NDArray[np.floating], codewords: NDArray[np.intp], weight: NDArray[np.floating] | None
) -> Iterator[tuple[slice, slice, F64]]:
    """Distances ||W (c_i - c_j)|| of all pairs of some codewords.

    Args:
        codebook: [K, d].
        codewords: Rows of it, int [M].
        weight: [d], None for ones.

    Yields:
        (rows, columns, distances float64 [rows, columns]): parts of the M x M matrix on and above the diagonal, at most
        1024 wide. Where rows == columns the block is symmetric.
    """
    centre = codebook[codewords].mean(axis=0, dtype=np.float64)
    scale = _scale(codebook, weight)
    widest = max(codebook.shape[1], _TILE_ELEMENTS // 1024)
    blocks = list(row_blocks(len(codewords), widest, _TILE_ELEMENTS))
    for number, rows in enumerate(blocks):
        left = (codebook[codewords[rows]] - centre) * scale
        for columns in blocks[number:]:
            right = left if columns == rows else (codebook[codewords[columns]] - centre) * scale
            yield rows, columns, np.sqrt(_squared_distances(left, right))


def overlap_matrix(
    codebook: NDArray[np.floating], sigma: float, weight: NDArray[np.floating] | None = None
) -> tuple[F64, F64]:
    """Distances and overlaps [K, K] of all pairs of codewords, see `expected_overlaps`; for few codes.

    >>> distance, overlap = overlap_matrix(np.array([[0.0], [2.0]]), 1.0)
    >>> distance.tolist(), overlap.round(4).tolist()
    ([[0.0, 2.0], [2.0, 0.0]], [[1.0, 0.3173], [0.3173, 1.0]])
    """
    centred = (codebook - codebook.mean(axis=0, dtype=np.float64)) * _scale(codebook, weight)
    distance = np.sqrt(_squared_distances(centred, centred))
    return distance, codeword_overlap(distance, sigma)


def _scale(codebook: NDArray[np.floating], weight: NDArray[np.floating] | None) -> F64:
    return np.ones(codebook.shape[1]) if weight is None else weight.astype(np.float64)


def _squared_distances(left: F64, right: F64) -> F64:
    """||a - b||^2 as |a|^2 + |b|^2 - 2 a.b, by differences where that cancels: never negative, 0 only if equal."""
    size = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1)
    square = size - 2.0 * (left @ right.T)
    first, second = np.nonzero(square <= _CANCELLED * size)
    for block in row_blocks(len(first), left.shape[1], _TILE_ELEMENTS):
        i, j = first[block], second[block]
        square[i, j] = np.square(left[i] - right[j]).sum(axis=1)
    return np.asarray(square)


def effective_capacity(overlap: float) -> float:
    """K_eff = 1 / O_pi: as many equally used codes that nothing confuses. 1 <= K_eff <= 1 / sum pi^2 <= K.

    Source: DRQ; the diversity of order 2 of Leinster & Cobbold.

    >>> effective_capacity(0.25)
    4.0
    """
    return 1.0 / overlap


def geometry(counts: Counts, overlap: float) -> float:
    """G = sum pi^2 / O_pi, in (0, 1]: what codewords too close to each other leave of K D.

    >>> round(geometry(np.array([1, 1]), 0.6587), 4)  # 0.5 / 0.6587
    0.7591
    """
    return simpson(counts) / overlap
