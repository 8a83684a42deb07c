"""Codebooks as a tokenizer: what its unit of sigma is taken from, and whether the codebooks explain the codes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from external.test_codebook_fidelity import CODES, TOKENIZER, X

from drq_spark.external.codebook_tokenizer import agreement, codebook_tokenizer, rebuilt
from drq_spark.measure.item_sample import ItemSample

# rows (1, 0), (-1, 0), (0, 1), (0, -1): covariance I / 2, so the RMS per effective coordinate is sqrt(1/2)
CROSS = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)
BOOKS = (3 * CROSS,)  # the sums of codewords are three times as wide
CROSS_CODES = np.arange(4, dtype=np.int32)[:, None]


def test_the_unit_is_that_of_the_embeddings_where_codewords_are_as_long():
    made = codebook_tokenizer(BOOKS, ItemSample(CROSS_CODES, CROSS, whole=True), 2, "none")
    assert made.unit == pytest.approx(math.sqrt(1 / 2))
    assert (made.items, made.agreement, made.checked) == (4, 1.0, 4)
    assert made.tokenizer.latent_rms == (made.unit,)


@pytest.mark.parametrize(("x", "dim"), [(None, 0), (np.ones((4, 5), np.float32), 5)])
def test_the_unit_is_that_of_the_sums_of_codewords_where_latents_are_not_known(x, dim):
    made = codebook_tokenizer(BOOKS, ItemSample(CROSS_CODES, x, whole=True), dim, "none")
    assert made.unit == pytest.approx(3 * math.sqrt(1 / 2))
    assert (made.items, made.agreement, made.checked) == (4, None, 0)


def test_agreement_is_the_share_of_whole_sids():
    assert agreement(CODES, X, TOKENIZER) == (1.0, 300)
    other = CODES.copy()
    other[:75, 2] = (other[:75, 2] + 1) % 8
    assert agreement(other, X, TOKENIZER) == (0.75, 300)
    assert agreement(other, X, TOKENIZER, most=100) == (0.25, 100)


def test_what_sids_rebuild_is_the_sum_of_their_codewords():
    expected = sum(book[CODES[:, level]].astype(np.float64) for level, book in enumerate(TOKENIZER.codebooks))
    assert rebuilt(CODES, TOKENIZER.codebooks) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert rebuilt(CODES, TOKENIZER.codebooks) == pytest.approx(TOKENIZER.decode_latent(CODES), rel=1e-6, abs=1e-6)
