"""Books and tables from the sums over a catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from scipy import sparse

from drq_spark.arrays import F32, F64
from drq_spark.refine.corpus_sums import CorpusSums
from drq_spark.tokenizer import Tokenizer
from drq_spark.train.decode_tables import RIDGE, bounded_ridges, solved_from_counts

Together = Mapping[tuple[int, int], sparse.csr_matrix]


def solved_tables(tokenizer: Tokenizer, sums: CorpusSums) -> Tokenizer:
    """The tokenizer with tables that decode the codes which all items have; codes stay."""
    together = _together(sums, tokenizer.codebook_sizes)
    return replace(tokenizer, tables=_tables(tokenizer.codebooks, sums, together))


def solved_books(tokenizer: Tokenizer, sums: CorpusSums) -> Tokenizer:
    """The tokenizer with books solved for the codes which all items have, and so with other codes.

    Its tables are not those of its codes; sums under it give these. Prices, weights, encoder and decoder stay.
    """
    together = _together(sums, tokenizer.codebook_sizes)
    counts = [count.astype(np.float64) for count in sums.counts]
    books = solved_from_counts(counts, together, sums.latent, tokenizer.codebooks, [RIDGE] * tokenizer.levels)
    return replace(tokenizer, codebooks=books)


def _tables(books: Sequence[F32], sums: CorpusSums, together: Together) -> tuple[F32, ...]:
    """As `train.decode_tables.decode_tables`, from sums."""
    mean = sums.latent[0].sum(axis=0) / sums.items
    centres = [mean, *[np.zeros_like(mean)] * (len(books) - 1)]
    prior = [np.tile(centre, (len(book), 1)).astype(np.float32) for centre, book in zip(centres, books, strict=True)]
    wide = [book.astype(np.float64) for book in books]
    ridges = bounded_ridges(_left(wide, sums, together), _explained(wide, centres, sums))
    counts = [count.astype(np.float64) for count in sums.counts]
    tables = solved_from_counts(counts, together, sums.latent, prior, ridges)
    return tuple(
        np.where((count == 0)[:, None], book, table)
        for table, book, count in zip(tables, books, sums.counts, strict=True)
    )


def _left(books: Sequence[F64], sums: CorpusSums, together: Together) -> float:
    """sum ||z - sum_l c_l||^2 over all items, from products of sums."""
    left = sums.square
    for book, count, latent in zip(books, sums.counts, sums.latent, strict=True):
        left += float(count @ np.square(book).sum(axis=1)) - 2 * float((latent * book).sum())
    for a, b in combinations(range(len(books)), 2):
        left += 2 * float(((together[a, b] @ books[b]) * books[a]).sum())
    return max(left, 0.0)


def _explained(books: Sequence[F64], centres: Sequence[F64], sums: CorpusSums) -> list[float]:
    """Per level sum ||c - centre||^2 over all items."""
    parts = zip(books, centres, sums.counts, strict=True)
    return [float(count @ np.square(book - centre).sum(axis=1)) for book, centre, count in parts]


def _together(sums: CorpusSums, sizes: Sequence[int]) -> Together:
    """Items with a code of one level and one of another, both ways."""
    found: dict[tuple[int, int], sparse.csr_matrix] = {}
    for (a, b), (keys, counts) in zip(combinations(range(len(sizes)), 2), sums.pairs, strict=True):
        places = (keys // sizes[b], keys % sizes[b])
        pairs = sparse.csr_matrix((counts.astype(np.float64), places), shape=(sizes[a], sizes[b]))
        found[a, b], found[b, a] = pairs, pairs.T.tocsr()
    return found
