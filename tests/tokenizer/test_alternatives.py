"""The SIDs that an item could have: its own first, then by the error that readers would find."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizer.samples import behaving, full, plain, rows

from drq_spark.tokenizer.alternatives import alternatives


@pytest.mark.parametrize(
    "tokenizer", [plain(), full(), behaving(), plain(beam=3)], ids=["plain", "full", "drq", "beam"]
)
def test_own_first_then_by_what_readers_lose(tokenizer):
    x = tokenizer.prepare_input(rows(40, tokenizer.dim))
    z, encoding = tokenizer.encode_prepared(x)
    found = alternatives(tokenizer, z, 4)
    assert found.codes.shape == (40, 4, 3)
    assert (found.codes[:, 0] == encoding.codes).all()
    weight = np.ones(tokenizer.latent_dim) if tokenizer.weights is None else tokenizer.weights[-1]
    reached = tokenizer.paths(z, 4).codes
    for row in range(40):
        assert {tuple(path) for path in found.codes[row]} == {tuple(path) for path in reached[row]}
        left = z[row] - tokenizer.decode_latent(found.codes[row])
        assert np.allclose(found.cost[row], ((left * weight) ** 2).sum(axis=1))
        assert (np.diff(found.cost[row, 1:]) >= 0).all()
        assert (found.keys[row] == tokenizer.keys(found.codes[row])).all()


def test_no_more_than_there_are():
    tokenizer = plain(sizes=(2, 2))
    found = alternatives(tokenizer, tokenizer.latent(rows(3, 6)), 9)
    assert found.codes.shape == (3, 2, 2)  # a greedy path has two last codes
    assert alternatives(tokenizer, np.empty((0, 6), np.float32), 9).keys.shape == (0, 2)
