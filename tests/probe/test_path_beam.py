"""Beam search over a tree of paths against a list of all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from probe.planted import candidates

from drq_spark.probe.behaviour_data import Candidates
from drq_spark.probe.generator import GeneratorParts, TokenNetwork
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.next_item_training import STREAM
from drq_spark.probe.token_paths import TokenPaths
from drq_spark.train.runtime import seeded

ASKED = torch.tensor([[3, 7, 20], [59, -1, -1]])


def sparse() -> Candidates:
    """23 items of the 60, so that most paths of tokens are no item's; one SID has both items, most have one."""
    whole = candidates()
    kept = np.sort(np.random.default_rng(4).permutation(60)[:23])
    codes = whole.codes[kept]
    suffix = np.array([int((codes[:nth] == code).all(axis=1).sum()) for nth, code in enumerate(codes)])
    return replace(
        whole,
        x=whole.x[kept],
        codes=codes,
        suffix=suffix,
        attributes=whole.attributes[kept],
        trained_events=np.arange(23),
    )


def network(parts: GeneratorParts) -> TokenNetwork:
    with seeded(5, STREAM):
        model = TokenNetwork(sparse(), parts, Effort(width=8, history=3))
        for head in model.decoder.heads:
            torch.nn.init.normal_(head[1].weight)  # chances far from equal
    return model.eval()


@pytest.mark.parametrize("attributes", [False, True])
@pytest.mark.parametrize("collisions", ["suffix", "popularity"])
@torch.no_grad()
def test_a_beam_of_everything_is_a_search_of_everything(attributes, collisions):
    model = network(GeneratorParts(attributes, collisions, task=True, summary=True))
    asked = torch.where(ASKED < 23, ASKED, 22)
    items, chance = model.best(asked, width=23, count=30, barred=None)
    every = torch.arange(23)
    for row in range(2):
        expected = -model.surprise(asked[row : row + 1].expand(23, -1), every)
        order = expected.argsort(descending=True)
        assert items[row, :23].tolist() == order.tolist()  # every item once, and nothing that is no item
        assert (chance[row, 23:] == -torch.inf).all()
        torch.testing.assert_close(chance[row, :23], expected[order], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_narrow_beam_keeps_the_likeliest_prefixes():
    """Against a loop over prefixes as tuples."""
    model, spelled = network(GeneratorParts()), TokenPaths.of(sparse(), False)
    paths, asked = [tuple(row) for row in spelled.tokens.tolist()], ASKED[:1].clamp(max=22)
    worth = {path: -model.token_surprises(asked, torch.tensor([item]))[0] for item, path in enumerate(paths)}
    kept = [()]
    for level in range(3):
        total = {path[: level + 1]: float(worth[path][: level + 1].sum()) for path in paths if path[:level] in kept}
        kept = sorted(total, key=lambda prefix: -total[prefix])[:3]
    items, _ = model.best(asked, width=3, count=3, barred=None)
    assert [paths[item] for item in items[0].tolist()] == kept


@torch.no_grad()
def test_barred_items_are_passed_over():
    model = network(GeneratorParts())
    free, _ = model.best(ASKED.clamp(max=22), 23, 23, None)
    barred = torch.zeros(2, 24, dtype=torch.bool)
    barred[0, free[0, :5]] = True
    left, chance = model.best(ASKED.clamp(max=22), 23, 23, barred)
    assert left[0, :18].tolist() == free[0, 5:].tolist()
    assert chance[0, 18:].tolist() == [-torch.inf] * 5
    assert left[1].tolist() == free[1].tolist()


def test_shares_are_of_the_items_of_a_sid():
    some = sparse()
    share = TokenPaths.of(some, False).share
    for item in range(23):
        alike = (some.codes == some.codes[item]).all(axis=1)
        assert share[item] == pytest.approx((some.trained_events[item] + 1) / (some.trained_events[alike] + 1).sum())
    assert (share < 1).any()


@torch.no_grad()
def test_what_comes_after_a_token_depends_on_it_and_on_the_context():
    decoder, state, none = network(GeneratorParts()).decoder, torch.ones(1, 8), torch.zeros(1, 8)
    after = [decoder.after(0, state, torch.tensor([token]), none) for token in (0, 1, 0)]
    assert torch.equal(after[0], after[2])
    parts = [table.weight[token] for table, token in zip(decoder.tokens, (4, 1, 0), strict=True)]
    assert torch.allclose(decoder.vectors(torch.tensor([4, 1, 0])), sum(parts))
    assert (after[0] - after[1]).abs().max() > 1e-4
    assert (decoder.after(0, state, torch.tensor([0]), torch.randn(1, 8)) - after[0]).abs().max() > 1e-4
