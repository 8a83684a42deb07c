"""Items of a sample moved apart, and the books solved for them."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizer.samples import behaving, rows

from drq_spark.config import load_config
from drq_spark.formulas.deferred_acceptance import spread_out
from drq_spark.tokenizer.alternatives import alternatives
from drq_spark.train.apart import apart_codes, policy_codes, solved_apart

TOKENIZER = behaving(sizes=(6, 5, 4))
LATENTS = TOKENIZER.latent(np.concatenate([rows(120, 4), rows(9, 4)]))
CODES = TOKENIZER.encode_latent(LATENTS).codes


def error(books, codes):
    return float(np.square(LATENTS - sum(book[codes[:, level]] for level, book in enumerate(books))).sum())


@pytest.mark.parametrize("capacity", [1, 2])
def test_as_if_the_paths_of_all_items_were_known(capacity):
    found = alternatives(TOKENIZER, LATENTS, 8)
    group = np.unique(LATENTS, axis=0, return_inverse=True)[1]
    first = np.array([np.flatnonzero(group == one)[0] for one in group])
    chosen = spread_out(found.keys, found.cost, first, capacity)
    expected = found.codes[np.arange(len(chosen)), chosen]
    moved = apart_codes(TOKENIZER, LATENTS, CODES, 8, capacity)
    assert (moved == expected).all()
    assert (moved[-9:] == moved[:9]).all()  # equal items go together
    assert len(np.unique(moved, axis=0)) > len(np.unique(CODES, axis=0))


def test_where_no_two_items_share_a_sid_nothing_moves():
    alone = np.unique(CODES, axis=0, return_index=True)[1]
    assert (apart_codes(TOKENIZER, LATENTS[alone], CODES[alone]) == CODES[alone]).all()


def test_books_are_solved_for_the_moved_codes():
    moved = apart_codes(TOKENIZER, LATENTS, CODES)
    books = solved_apart(TOKENIZER, LATENTS, CODES)
    assert error(books, moved) < error(TOKENIZER.codebooks, moved)
    assert [book.shape for book in books] == [book.shape for book in TOKENIZER.codebooks]


def test_the_policy_decides_what_tables_are_solved_for():
    settings = load_config().collisions
    assert policy_codes(TOKENIZER, LATENTS, CODES, settings) is CODES
    spread = settings.model_copy(update={"policy": "spread"})
    assert (policy_codes(TOKENIZER, LATENTS, CODES, spread) == apart_codes(TOKENIZER, LATENTS, CODES)).all()
