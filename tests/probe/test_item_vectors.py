"""Vectors of items: no item is zero, cold items have nothing of their own, and a SID is the sum of its parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from probe.planted_rankings import ITEMS, candidates

from drq_spark.probe.behaviour_data import NO_ITEM
from drq_spark.probe.item_vectors import EmbeddingVectors, IdVectors, ResVectors, SidTable, SidVectors

WARM = np.arange(1, ITEMS, dtype=np.int32)  # item 0 is cold


@pytest.mark.parametrize("kind", [IdVectors, EmbeddingVectors, SidVectors, ResVectors])
def test_no_item_is_zero_in_any_shape(kind):
    vectors = kind(candidates(WARM), 8)
    rows = torch.tensor([[NO_ITEM, 3], [4, NO_ITEM]])
    found = vectors(rows)
    assert found.shape == (2, 2, 8)
    assert (found[rows < 0] == 0).all()
    assert torch.allclose(found[0, 1], vectors(torch.tensor([3]))[0], atol=1e-6)
    assert found[rows >= 0].any(dim=1).all()


def test_a_cold_item_by_id_is_no_item_and_by_sid_has_its_shared_codes():
    items = candidates(WARM)
    assert not IdVectors(items, 8)(torch.tensor([0])).any()
    vectors = SidVectors(items, 8)
    tokens = vectors.spelled.tokens(items.codes)
    shared = vectors.table.weight[torch.from_numpy(tokens[0, :2])].sum(dim=0) / 3**0.5  # the prefix is its own
    assert torch.allclose(vectors(torch.tensor([0]))[0], shared)


def test_tokens_tell_levels_and_prefixes_apart():
    codes = np.array([[0, 1, 2], [0, 1, 3], [1, 1, 2]], np.int32)
    spelled = SidTable.for_items(3, (4, 4, 4))
    tokens, rows = spelled.tokens(codes), spelled.rows
    assert tokens.shape == (4, 5)
    assert tokens[0, :3].tolist() == [0, 5, 10]
    assert tokens[0, 3] == tokens[1, 3] != tokens[2, 3]
    assert len({tokens[0, 4], tokens[1, 4], tokens[2, 4], tokens[0, 3]}) == 4
    assert (tokens[3] == rows - 1).all()
    assert tokens.max() < rows


def test_what_was_learned_of_sids_holds_for_any_item_that_has_one():
    items = candidates(WARM)
    vectors = SidVectors(items, 8)
    other = vectors.knowing(items.codes[[7, 3]])
    assert torch.equal(other(torch.tensor([0, 1, NO_ITEM])), vectors(torch.tensor([7, 3, NO_ITEM])))


def test_residuals_start_at_zero_and_are_pulled_there():
    items = candidates(WARM)
    vectors = ResVectors(items, 8)
    rows = torch.tensor([[1, 2]])
    assert torch.equal(vectors(rows), vectors.centre(rows))
    assert vectors.pull(rows) == 0
    with torch.no_grad():
        vectors.residual.weight[1] = 1.0
    assert vectors.pull(rows).item() > vectors.pull(torch.tensor([[2]])).item() == 0


def test_where_embeddings_lie_and_how_long_they_are_is_no_matter():
    items, found = candidates(WARM), []
    for x in (items.x, 3 * items.x + 40):
        torch.manual_seed(0)
        found.append(EmbeddingVectors(replace(items, x=x.astype(np.float32)), 8)(torch.arange(ITEMS)))
    assert torch.allclose(found[0], found[1], atol=1e-4)
