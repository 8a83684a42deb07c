"""Books and tables from sums are those of the rows themselves."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from drq_spark.refine.corpus_sums import CorpusSums
from drq_spark.refine.solution import solved_books, solved_tables
from drq_spark.tokenizer import Tokenizer
from drq_spark.train.decode_tables import decode_tables, joint_least_squares

RNG = np.random.default_rng(1)
SIZES = (6, 4, 5)
ITEMS = (RNG.normal(size=(400, 7)) + 3).astype(np.float32)
BOOKS = tuple(RNG.normal(size=(size, 7)).astype(np.float32) for size in SIZES)
TOKENIZER = Tokenizer("t", 7, "none", BOOKS, latent_rms=(1.0,) * 3, tables=BOOKS)


def sums(codes):
    wide = ITEMS.astype(np.float64)
    pairs = []
    for a, b in combinations(range(3), 2):
        keys, counts = np.unique(codes[:, a].astype(np.int64) * SIZES[b] + codes[:, b], return_counts=True)
        pairs.append((keys, counts))
    return CorpusSums(
        items=len(ITEMS),
        too_far=0,
        square=float(np.square(wide).sum()),
        counts=tuple(np.bincount(codes[:, level], minlength=size) for level, size in enumerate(SIZES)),
        latent=tuple(
            np.stack([wide[codes[:, level] == code].sum(axis=0) for code in range(size)])
            for level, size in enumerate(SIZES)
        ),
        pairs=tuple(pairs),
    )


def check(codes):
    tables_only, both = solved_tables(TOKENIZER, sums(codes)), solved_books(TOKENIZER, sums(codes))
    assert all((mine == theirs).all() for mine, theirs in zip(tables_only.codebooks, BOOKS, strict=True))
    expected = joint_least_squares(ITEMS, codes, BOOKS)
    for found, plain in zip(both.codebooks, expected, strict=True):
        np.testing.assert_allclose(found, plain, atol=1e-4)
    for found, plain in zip(tables_only.tables, decode_tables(ITEMS, codes, BOOKS), strict=True):
        np.testing.assert_allclose(found, plain, atol=1e-4)


def test_books_and_tables_are_solved_as_on_a_sample():
    check(TOKENIZER.encode_prepared(ITEMS)[1].codes)


def test_codes_that_nobody_uses_keep_their_rows():
    codes = RNG.integers(0, (5, 4, 5), (400, 3)).astype(np.int32)
    check(codes)
    tables_only, both = solved_tables(TOKENIZER, sums(codes)), solved_books(TOKENIZER, sums(codes))
    np.testing.assert_array_equal(tables_only.tables[0][5], BOOKS[0][5])
    np.testing.assert_allclose(both.codebooks[0][5], BOOKS[0][5], atol=1e-6)
