"""Tables solved by joint least squares, codes fixed.

    min over T of sum_i ||z_i - sum_l t^l_{s^l_i}||^2 + ridge * sum ||t - prior||^2

Codebooks are means of residuals under the codes of their own level only; items of one code share the codes of later
levels unevenly, which the joint solution takes into account. The ridge pulls towards a prior. Where the ridge keeps
every row and there are few, the solution is by Cholesky. Otherwise it is by block Gauss-Seidel: given the other levels
the rows of one level are weighted means. That needs only the L*K x d right-hand side and sparse counts of code pairs,
whatever K.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy import sparse

from drq_spark.arrays import F32, F64, I32
from drq_spark.blocks import row_blocks
from drq_spark.train.memory import MOST_AT_ONCE

RIDGE = 3.0  # items' worth of pull towards books that are refined; 1 to 6 give the same unseen error
_LEAST_COUNT = 1e-9  # a code that nobody uses, where nothing pulls: its row is replaced
_MOST_RIDGE = 1e9  # of a level that explains nothing
_SWEEPS = 20  # the error is within a thousandth of the lowest by then


def decode_tables(latents: F32, codes: I32, codebooks: Sequence[F32]) -> tuple[F32, ...]:
    """Tables that decode best: pulled towards the mean latent on the first level and towards 0 on the others.

    A row that few items have says little of others; pulled towards its codeword it would keep what chance made of it.
    The ridge of a level is what the codes leave unexplained of an item over what its codewords explain (empirical
    Bayes: Efron and Morris 1975): codes that leave nothing are not pulled at all. The row of a code that nobody uses is
    its codeword.
    """
    prior = [np.zeros_like(book) for book in codebooks]
    prior[0] += latents.mean(axis=0, dtype=np.float64).astype(np.float32)
    tables = joint_least_squares(latents, codes, prior, level_ridges(latents, codes, codebooks))
    for level, (table, book) in enumerate(zip(tables, codebooks, strict=True)):
        unused = np.bincount(codes[:, level], minlength=len(book)) == 0
        table[unused] = book[unused]
    return tables


def joint_least_squares(
    latents: F32,
    codes: I32,
    prior: Sequence[F32],
    ridges: Sequence[float] | Sequence[F64] | None = None,
) -> tuple[F32, ...]:
    """Tables t, one float32 [K_l, d] per level, of latents float32 [n, d] with codes int32 [n, L].

    Args:
        prior: What the ridge of each level, `ridges` or `RIDGE`, pulls to.
        ridges: One number a level, or one a row: float64 [K_l, 1].
    """
    levels = range(len(prior))
    chosen = [_one_hot(codes[:, level], len(prior[level])) for level in levels]
    together = {(a, b): (chosen[a].T @ chosen[b]).tocsr() for a in levels for b in levels if a < b}
    together |= {(b, a): pairs.T.tocsr() for (a, b), pairs in together.items()}
    counts = [np.bincount(codes[:, level], minlength=len(prior[level])).astype(np.float64) for level in levels]
    sums = [_sums(chosen[level], latents) for level in levels]
    return solved_from_counts(counts, together, sums, prior, [RIDGE] * len(prior) if ridges is None else ridges)


def solved_from_counts(
    counts: Sequence[F64],
    together: Mapping[tuple[int, int], sparse.csr_matrix],
    sums: Sequence[F64],
    prior: Sequence[F32],
    ridges: Sequence[float] | Sequence[F64],
) -> tuple[F32, ...]:
    """`joint_least_squares` from what it needs of the latents.

    Args:
        counts: Items of each code, float64 [K_l] per level.
        together: Items of each code of one level and each of another, [K_a, K_b] by these levels, both ways.
        sums: Sum of the latents of each code, float64 [K_l, d] per level.
        prior, ridges: As there.
    """
    levels = range(len(prior))
    count = [held[:, None] for held in counts]
    target = [sums[level] + ridges[level] * prior[level] for level in levels]
    if sum(map(len, prior)) <= MOST_AT_ONCE and min(np.min(held) for held in ridges) >= 1:
        weight = [(count[level] + ridges[level])[:, 0] for level in levels]
        return _solved_at_once(weight, together, target)
    tables = [rows.astype(np.float64) for rows in prior]
    for _ in range(_SWEEPS):
        for level in levels:
            others = sum((together[level, b] @ tables[b] for b in levels if b != level), np.zeros_like(tables[level]))
            tables[level] = (target[level] - others) / np.maximum(count[level] + ridges[level], _LEAST_COUNT)
    return tuple(table.astype(np.float32) for table in tables)


def _solved_at_once(
    weight: Sequence[F64], together: Mapping[tuple[int, int], sparse.csr_matrix], target: Sequence[F64]
) -> tuple[F32, ...]:
    """The tables by Cholesky.

    Args:
        weight: Items of each code and its ridge, float64 [K] per level: 1 or more, else the system can be singular.
        together: Items of each code of one level and each of another, by these levels.
        target: float64 [K, d] per level.
    """
    levels = range(len(weight))
    system = np.block([[np.diag(weight[a]) if a == b else together[a, b].toarray() for b in levels] for a in levels])
    factor = torch.linalg.cholesky(torch.from_numpy(system), upper=True)
    solved = torch.cholesky_solve(torch.from_numpy(np.concatenate(target)), factor, upper=True)
    return tuple(np.split(solved.float().contiguous().numpy(), np.cumsum([len(rows) for rows in weight])[:-1]))


def level_ridges(latents: F32, codes: I32, codebooks: Sequence[F32]) -> list[float]:
    """Ridge of each level: mean squared residual of an item / mean squared distance of its codeword from the prior.

    The prior is the mean latent on the first level, 0 on the others. Arguments as in `decode_tables`.
    """
    left, explained = 0.0, np.zeros(len(codebooks))
    centres = [latents.mean(axis=0, dtype=np.float64), *[0.0] * (len(codebooks) - 1)]
    for block in row_blocks(*latents.shape):
        residual = latents[block].astype(np.float64)
        for level, (book, centre) in enumerate(zip(codebooks, centres, strict=True)):
            words = book[codes[block, level]].astype(np.float64)
            residual -= words
            explained[level] += float(np.square(words - centre).sum())
        left += float(np.square(residual).sum())
    return bounded_ridges(left, explained.tolist())


def bounded_ridges(left: float, explained: Sequence[float]) -> list[float]:
    """`level_ridges` from the sum of squared residuals and, per level, that of the squares which codewords explain."""
    return [min(left / part, _MOST_RIDGE) if part > 0 else _MOST_RIDGE * (left > 0) for part in explained]


def _one_hot(codes: I32, size: int) -> sparse.csr_matrix:
    """Float64 [n, K] with a one at each row's code."""
    rows = len(codes)
    return sparse.csr_matrix((np.ones(rows), codes, np.arange(rows + 1)), shape=(rows, size))


def _sums(chosen: sparse.csr_matrix, latents: F32) -> F64:
    """Sums float64 [K, d] of the latents of each code, block by block."""
    total = np.zeros((chosen.shape[1], latents.shape[1]))
    for block in row_blocks(len(latents), latents.shape[1]):
        total += chosen[block].T @ latents[block].astype(np.float64)
    return total
