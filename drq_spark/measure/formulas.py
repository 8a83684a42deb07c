"""From counts and codebooks to figures: every formula once, pure numpy.

Conventions: `counts` are uses of the codes of one level, [K], unused codes as 0; items (int) or exposure (float) alike,
so that pi_k = counts_k / sum counts. A figure that does not exist (nothing counted, no variance) is nan: callers leave
its row out.

Sources:
    DRQ: arXiv 2606.01844, expected codeword overlap and effective capacity.
    Leinster & Cobbold 2012: Measuring diversity: the importance of species similarity, Ecology 93(3).
    Hill 1973: Diversity and evenness, Ecology 54(2); perplexity is the number of order 1, inverse Simpson of order 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.special import erfc, xlogy

F64 = NDArray[np.float64]
Counts = NDArray[np.integer] | NDArray[np.floating]

REACH = 17.8
"""Codewords further apart than this many sigma overlap by less than 1e-18, which counts as 0."""

_TILE_ELEMENTS = 2**21  # float64 numbers of one block of codewords or of distances: 16 MiB
_SUMMED = 1e-9  # relative error of sums of floats in any order
_CANCELLED = 2.0**-20  # squared distances this small beside the norms have lost too many digits to subtraction


def _checked(counts: Counts) -> Counts:
    if counts.ndim != 1 or not len(counts):
        raise ValueError(f"counts must be [K] with K > 0, not of shape {counts.shape}")
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise ValueError("counts must be finite and not negative")
    return counts


def _shares(counts: Counts) -> F64:
    total = _checked(counts).sum()
    return np.asarray(counts / total, np.float64) if total > 0 else np.full(len(counts), np.nan)


def _simpson(counts: Counts) -> float:
    shares = _shares(counts)
    return float((shares * shares).sum())


def share(part: float, whole: float) -> float:
    """part / whole: quarantine_rate, mean_cosine, mean_margin and uncertain_share are sums over items divided by items.

    >>> share(3, 12)
    0.25
    """
    return float(part / whole) if whole > 0 else float("nan")


def share_standard_error(items: int, weight: float, hit: float, weight_square: float, hit_square: float) -> float:
    """Standard error of the weighted share R = sum w y / sum w of the items with y = 1 among n drawn alike.

    sqrt(n / (n - 1) sum w^2 (y - R)^2) / sum w: the linearised ratio estimator, without the factor 1 - n / N for a
    finite population. With equal weights it is sqrt(R (1 - R) / (n - 1)). nan for one item, or where nothing weighs.

    Source: Cochran 1977, Sampling Techniques, 3rd ed., section 6.4.

    Args:
        items: n. weight: sum w. hit: sum w y. weight_square: sum w^2. hit_square: sum w^2 y.

    >>> share_standard_error(17, 17.0, 8.5, 17.0, 8.5)  # sqrt(1/2 * 1/2 / 16)
    0.125
    """
    if items < 2 or not weight > 0:
        return float("nan")
    rate = hit / weight
    square = (1 - 2 * rate) * hit_square + rate * rate * weight_square
    return float(np.sqrt(max(0.0, square) * items / (items - 1)) / weight)


def utilization(counts: Counts) -> float:
    """Share of the codes that are used at all: #{k: n_k > 0} / K; 0 where nothing is counted.

    >>> utilization(np.array([3, 1, 0, 0]))
    0.5
    """
    return float(np.count_nonzero(_checked(counts)) / len(counts))


def dead_codes(counts: Counts) -> int:
    """Number of codes that nothing uses: #{k: n_k = 0}.

    >>> dead_codes(np.array([3, 1, 0, 0]))
    2
    """
    return len(counts) - int(np.count_nonzero(_checked(counts)))


def perplexity(counts: Counts) -> float:
    """exp(H), H = -sum_k pi_k ln pi_k (Hill number of order 1): as many equally used codes have the same entropy.

    >>> round(perplexity(np.array([2, 1, 1, 0])), 4)  # exp(1.5 ln 2)
    2.8284
    """
    shares = _shares(counts)
    return float(np.exp(-xlogy(shares, shares).sum()))


def inverse_simpson(counts: Counts) -> float:
    """1 / sum_k pi_k^2 (Hill number of order 2): as many equally used codes collide equally often.

    >>> round(inverse_simpson(np.array([2, 1, 1, 0])), 4)  # 1 / (1/4 + 1/16 + 1/16)
    2.6667
    """
    return 1.0 / _simpson(counts)


def gini(counts: Counts) -> float:
    """Gini coefficient over all K codes: sum_i (2 i - K - 1) n_(i) / (K sum n), n_(1) <= .. <= n_(K); in [0, 1 - 1/K].

    The mean difference of two codes drawn at random, divided by twice the mean use.

    >>> gini(np.array([0, 0, 0, 8]))
    0.75
    """
    ordered = np.sort(_shares(counts))
    rank = np.arange(1, len(ordered) + 1)
    spread = float(((2 * rank - len(ordered) - 1) * ordered).sum() / len(ordered))
    return 0.0 if spread < 0 else spread  # below 0 by rounding only; nan stays


def codeword_overlap(distance: ArrayLike, sigma: float) -> F64:
    """Overlap of two codewords blurred by N(0, sigma^2 I): OVL = 2 Phi(-d / (2 sigma)) = erfc(d / (2 sqrt2 sigma)).

    Source: DRQ. The area that the two bells share: twice the chance that one blurred codeword ends up nearer to the
    other. 1 at distance 0, whatever sigma; at sigma = 0 it is 0 elsewhere, as it is beyond `REACH`.

    Args:
        distance: Euclidean distances, any shape, not negative.
        sigma: scale of the perturbation per coordinate, not negative.

    >>> codeword_overlap([0.0, 2.0], 1.0).round(4).tolist()  # 2 Phi(-1)
    [1.0, 0.3173]
    """
    if not sigma >= 0:
        raise ValueError(f"sigma must be 0 or more, not {sigma}")
    apart = np.asarray(distance, np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scaled = np.where(apart > 0, apart / (sigma * np.sqrt(8.0)), 0.0)
    near = scaled < REACH / np.sqrt(8.0)
    if near.mean() > 0.5:  # picking them out would cost more than the rest of erfc
        return np.where(near, erfc(scaled), 0.0)
    overlap = np.zeros(scaled.shape)
    overlap[near] = erfc(scaled[near])  # not erfc(.., where=near): that breaks the heap with some versions of scipy
    return overlap


def expected_overlap(counts: Counts, codebook: NDArray[np.floating], sigma: float) -> float:
    """O_pi(sigma) = sum_ij pi_i pi_j OVL(i, j): mean overlap of the codes of two items drawn at random; in (0, 1].

    Source: DRQ; the mean ordinariness of Leinster & Cobbold with OVL as similarity. Exact over all pairs. At
    sigma = 0 it is sum pi^2 with coinciding codewords counted as one.

    Args:
        counts: [K]. codebook: [K, d]. sigma: see `codeword_overlap`.

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
) -> F64:
    """`expected_overlap` [V, S] for V weightings of the same codes and S sigmas, with one pass over the pairs.

    Where codes are chosen by ||W (r - c)|| with W = diag(weight), the boundary between two codewords has the normal
    W^2 (c_i - c_j), so ||W D||^2 / ||W^2 D|| stands for the distance ||D||, D = c_i - c_j.

    Blocks of pairs keep memory at about 100 MB beside the codebook, whatever K; distances are float64.
    """
    shares = np.stack([_shares(counts) for counts in weightings])
    if codebook.ndim != 2 or len(codebook) != shares.shape[1]:
        raise ValueError(f"the codebook must be [{shares.shape[1]}, d], not of shape {codebook.shape}")
    shares, codewords = _merged(shares, codebook)
    between = np.zeros((len(shares), len(sigmas)))
    for rows, columns, distance in pair_distances(codebook, codewords, weight):
        if rows == columns:
            np.fill_diagonal(distance, np.inf)
        nearest = distance.min()
        for index, sigma in enumerate(sigmas):
            if nearest > REACH * sigma:
                continue
            overlap = codeword_overlap(distance, sigma)
            pairs = ((shares[:, rows] @ overlap) * shares[:, columns]).sum(axis=1)
            between[:, index] += pairs if rows == columns else 2 * pairs
    # the diagonal apart, without rounding of distances: K_eff = 1 / sum pi^2 exactly where no codewords overlap
    return np.asarray(np.minimum(np.square(shares).sum(axis=1, keepdims=True) + between, 1.0))


def _merged(shares: F64, codebook: NDArray[np.floating]) -> tuple[F64, NDArray[np.intp]]:
    """Shares [W, M] and rows [M] of the different codewords in use: copies of a codeword (overlap 1) count as one."""
    used = np.flatnonzero((shares != 0).any(axis=0))  # nan counts as used: it must come out as nan
    groups: dict[bytes, int] = {}
    group = [groups.setdefault(blake2b(codebook[code].tobytes()).digest(), len(groups)) for code in used]
    merged = np.zeros((len(groups), len(shares)))
    np.add.at(merged, group, shares[:, used].T)
    return merged.T, used[np.unique(group, return_index=True)[1]]


def pair_distances(
    codebook: NDArray[np.floating], codewords: NDArray[np.intp], weight: NDArray[np.floating] | None
) -> Iterator[tuple[slice, slice, F64]]:
    """Distances across the boundary of all pairs of some codewords, see `expected_overlaps`.

    Args:
        codebook: [K, d]. codewords: rows of it, int [M]. weight: [d], None for ones.

    Yields:
        (rows, columns, distances float64 [rows, columns]): parts of the M x M matrix on and above the diagonal, at most
        1024 wide. Where rows == columns the block is symmetric.
    """
    centre = codebook[codewords].mean(axis=0, dtype=np.float64)
    step = max(1, min(_TILE_ELEMENTS // max(1, codebook.shape[1]), 1024))
    blocks = [slice(start, min(start + step, len(codewords))) for start in range(0, len(codewords), step)]
    for number, rows in enumerate(blocks):
        left = codebook[codewords[rows]] - centre
        for columns in blocks[number:]:
            right = left if columns == rows else codebook[codewords[columns]] - centre
            yield rows, columns, _boundary_distances(left, right, weight)


def overlap_matrix(
    codebook: NDArray[np.floating], sigma: float, weight: NDArray[np.floating] | None = None
) -> tuple[F64, F64]:
    """Boundary distances and overlaps [K, K] of all pairs of codewords, see `expected_overlaps`; for few codes.

    >>> distance, overlap = overlap_matrix(np.array([[0.0], [2.0]]), 1.0)
    >>> distance.tolist(), overlap.round(4).tolist()
    ([[0.0, 2.0], [2.0, 0.0]], [[1.0, 0.3173], [0.3173, 1.0]])
    """
    centred = codebook - codebook.mean(axis=0, dtype=np.float64)
    distance = _boundary_distances(centred, centred, weight)
    return distance, codeword_overlap(distance, sigma)


def _boundary_distances(left: F64, right: F64, weight: NDArray[np.floating] | None) -> F64:
    """||D||, or ||W D||^2 / ||W^2 D|| with W = diag(weight), of all pairs D = a - b; 0 where W D is 0."""
    if weight is None:
        return np.sqrt(_squared_distances(left, right))
    once_weighed = weight.astype(np.float64)  # the square of a float32 number needs more digits
    twice_weighed = np.square(once_weighed)
    once = _squared_distances(left * once_weighed, right * once_weighed)
    twice = np.sqrt(_squared_distances(left * twice_weighed, right * twice_weighed))
    return np.divide(once, twice, out=np.zeros_like(once), where=twice > 0)


def _squared_distances(left: F64, right: F64) -> F64:
    """||a - b||^2 as |a|^2 + |b|^2 - 2 a.b, by differences where that cancels: never negative, 0 only if equal."""
    size = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1)
    square = size - 2.0 * (left @ right.T)
    first, second = np.nonzero(square <= _CANCELLED * size)
    step = max(1, _TILE_ELEMENTS // max(1, left.shape[1]))
    for start in range(0, len(first), step):
        i, j = first[start : start + step], second[start : start + step]
        square[i, j] = np.square(left[i] - right[j]).sum(axis=1)
    return np.asarray(square)


def effective_capacity(overlap: float) -> float:
    """K_eff = 1 / O_pi: as many equally used codes that nothing confuses. 1 <= K_eff <= 1 / sum pi^2 <= K.

    Source: DRQ; the diversity of order 2 of Leinster & Cobbold.

    >>> effective_capacity(0.25)
    4.0
    """
    return 1.0 / overlap


def distribution(counts: Counts) -> float:
    """D = 1 / (K sum pi^2), in (0, 1]: what unequal use leaves of K.

    K_eff = K D G, so the penalties -ln D and -ln G add up.

    >>> round(distribution(np.array([2, 1, 1, 0])), 4)  # 2.6667 / 4
    0.6667
    """
    return inverse_simpson(counts) / len(counts)


def geometry(counts: Counts, overlap: float) -> float:
    """G = sum pi^2 / O_pi, in (0, 1]: what codewords too close to each other leave of K D.

    >>> round(geometry(np.array([1, 1]), 0.6587), 4)  # 0.5 / 0.6587
    0.7591
    """
    return _simpson(counts) / overlap


def entropy_from_sums(total: float, sum_n_log_n: float) -> float:
    """H = ln N - (sum_s n_s ln n_s) / N in nats: the entropy of counts n_s with sum N, from two sums over groups.

    >>> round(entropy_from_sums(4, 2 * np.log(2)), 4)  # counts 2, 1, 1: 1.5 ln 2
    1.0397
    """
    return max(0.0, float(np.log(total) - sum_n_log_n / total)) if total > 0 else float("nan")


def conditional_entropies(prefix_entropies: Sequence[float]) -> list[float]:
    """H(s^l | s^<l) = H(s^1..s^l) - H(s^1..s^{l-1}) for l = 1..L, in nats: the chain rule on entropies of prefixes.

    >>> conditional_entropies([2.0, 3.0, 3.5])
    [2.0, 1.0, 0.5]
    """
    steps = [longer - shorter for shorter, longer in pairwise([0.0, *prefix_entropies])]
    return [step if not step < 0 else 0.0 for step in steps]  # below 0 by rounding only; nan stays


def segment_thresholds(lowest: F64, exposure: F64) -> tuple[float, float | None] | None:
    """Lowest exposure of the head and of the torso, from a histogram of exposure.

    The head is the smallest set of most exposed groups that carries at least a third of all exposure, the torso those
    after it up to two thirds. Groups stay whole. The torso's threshold is None where the head carries two thirds
    alone; None for both where there is no exposure.

    Args:
        lowest: float64 [G], lowest exposure of an item of each group; groups do not overlap.
        exposure: float64 [G], sum of exposure of each group.

    >>> segment_thresholds(np.array([1.0, 2.0, 5.0]), np.array([4.0, 4.0, 5.0]))  # 5 of 13, then 9 of 13
    (5.0, 2.0)
    >>> segment_thresholds(np.array([1.0, 9.0]), np.array([4.0, 9.0]))  # 9 of 13 are more than two thirds
    (9.0, None)
    """
    order = np.argsort(-lowest)
    carried = np.cumsum(exposure[order])
    if not len(order) or not carried[-1] > 0:
        return None
    # the order in which floats were summed must not decide whether a sum is exactly a third
    needed = carried[-1] * np.array([1.0, 2.0]) / 3.0 * (1.0 - _SUMMED)
    head, torso = np.searchsorted(carried, needed)
    return float(lowest[order[head]]), float(lowest[order[torso]]) if torso > head else None


def duplicate_rate(unique_sids: int, items: int) -> float:
    """1 - unique SIDs / items: share of the items that would have to go for all SIDs to differ.

    >>> duplicate_rate(3, 4)  # SIDs a a b c
    0.25
    """
    return share(items - unique_sids, items)


def shared_rate(shared_items: int, items: int) -> float:
    """Share of the items whose SID some other item has too; from `duplicate_rate` to twice that and more.

    >>> shared_rate(2, 4)  # SIDs a a b c
    0.5
    """
    return share(shared_items, items)


def collision_mass(sum_squares: float, items: int) -> float:
    """sum_s n_s^2 / N^2: chance that two items at random, with replacement, have the same SID. At least 1/N.

    >>> collision_mass(6, 4)  # SIDs a a b c: (4 + 1 + 1) / 16
    0.375
    """
    return share(sum_squares, float(items) ** 2)


def exact_duplicate_rate(distinct_embeddings: int, items: int) -> float:
    """1 - distinct embeddings / items: the least `duplicate_rate` possible, since equal embeddings get equal SIDs.

    >>> exact_duplicate_rate(8, 10)
    0.2
    """
    return share(items - distinct_embeddings, items)


def excess_duplicate_rate(unique_sids: int, distinct_embeddings: int, items: int) -> float:
    """(distinct embeddings - unique SIDs) / items = duplicate_rate - exact_duplicate_rate: what the tokenizer adds.

    >>> excess_duplicate_rate(7, 8, 10)
    0.1
    """
    return share(distinct_embeddings - unique_sids, items)


def relative_mse(squared_error: float, centred_square: float) -> float:
    """sum ||x - x_hat||^2 / sum ||x - m||^2: 0 is perfect, 1 no better than the mean m for every item.

    nan where the items do not vary: there is nothing to explain, and any error would be infinite.

    >>> relative_mse(1.0, 4.0)
    0.25
    """
    return share(squared_error, centred_square)


def centred_square_sum(square_about_reference: float, sum_about_reference: NDArray[np.floating], items: int) -> float:
    """sum ||x - m||^2 = sum ||x - c||^2 - ||sum (x - c)||^2 / N, m the mean, c any fixed point near it (shifted data).

    Args:
        square_about_reference: sum ||x - c||^2. sum_about_reference: sum (x - c), [D]. items: N.

    Returns:
        0 at least: rounding may not make it negative. nan without items.

    >>> centred_square_sum(5.0, np.array([3.0]), 2)  # x = 1, 2 about c = 0; mean 1.5
    0.5
    """
    if items <= 0:
        return float("nan")
    drift = float(np.square(np.asarray(sum_about_reference, np.float64)).sum()) / items
    return max(0.0, float(square_about_reference) - drift)


def residual_share(residual_square: NDArray[np.floating], latent_centred_square: float) -> F64:
    """sum ||r^{l+1}||^2 / sum ||z - m_z||^2 per level, [L]: what is left of the latents' spread; nan without spread.

    >>> residual_share(np.array([2.0, 1.0]), 4.0).tolist()
    [0.5, 0.25]
    """
    return np.array([share(left, latent_centred_square) for left in residual_square], np.float64)


def pair_auc(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> float:
    """P(p > n) + P(p = n) / 2 for a score p of a true pair and n of another one: 0.5 says nothing, 1 tells all apart.

    The Mann-Whitney statistic U / (P N), ties half (Hanley and McNeil 1982). nan where one side has no scores.

    Args:
        positive: [P]. negative: [N].

    >>> pair_auc(np.array([3.0, 1.0]), np.array([1.0, 0.0]))  # 3 > 1, 3 > 0, 1 = 1, 1 > 0
    0.875
    """
    ordered = np.sort(negative)
    below = ordered.searchsorted(positive, side="left") + ordered.searchsorted(positive, side="right")
    return share(0.5 * float(below.sum()), len(positive) * len(negative))


def churn(confusion: NDArray[np.integer]) -> float:
    """Share of the items whose code changed: 1 - sum_k n_kk / N. nan where no item is in both runs.

    Args:
        confusion: [K_before, K_after], n_ij items with code i before and j after.

    >>> churn(np.array([[0, 3], [1, 0]]))
    1.0
    """
    return _moved(confusion, int(np.trace(confusion)))


def churn_matched(confusion: NDArray[np.integer]) -> float:
    """`churn` after the best renaming of codes: 1 - max_m sum_k n_{k m(k)} / N over one-to-one matchings m (Hungarian).

    Never above `churn`. What is left is real movement between clusters, not new numbers for old clusters.

    >>> churn_matched(np.array([[0, 3], [1, 0]]))
    0.0
    """
    dense = confusion[confusion.any(axis=1)][:, confusion.any(axis=0)]
    before, after = linear_sum_assignment(dense, maximize=True)
    return _moved(confusion, int(dense[before, after].sum()))


def _moved(confusion: NDArray[np.integer], stayed: int) -> float:
    total = int(confusion.sum())
    return share(total - stayed, total)
