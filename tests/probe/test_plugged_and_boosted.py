"""KEEP's knowledge is frozen and helps a part; the hint of a rocket reaches the light net only."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from probe.planted_rankings import EFFORT, auc, behaviour, chains

from drq_spark.probe.item_vectors import EmbeddingVectors, SidVectors
from drq_spark.probe.keep import KeepRanker, PartRanker, PluggedNetwork, part_of
from drq_spark.probe.ranker import mean_pooling
from drq_spark.probe.rocket import RocketNetwork, RocketRanker, hint
from drq_spark.progress import SILENT


@pytest.fixture(scope="module")
def planted():
    return behaviour(chains())


def network(vectors, data):
    return mean_pooling(vectors).build(data.candidates, EFFORT)


def test_a_part_is_whole_users_and_nothing_else_changes(planted):
    part = part_of(planted, 0.1, seed=0)
    users = planted.training.items.reshape(240, -1)
    assert len(part.training) == 24
    found = {tuple(row) for row in part.training.items.reshape(24, -1).tolist()}
    assert len(found) == 24
    assert found <= {tuple(row) for row in users.tolist()}
    assert part.validation is planted.validation


def test_knowledge_of_all_helps_a_ranker_of_a_part(planted):
    alone = PartRanker(SidVectors, 0.2).fit(planted, EFFORT, SILENT.progress)
    plugged = KeepRanker(SidVectors, 0.2).fit(planted, EFFORT, SILENT.progress)
    assert auc(plugged, planted.test) > max(0.8, auc(alone, planted.test) + 0.1)


def test_a_plug_starts_at_nothing_and_moves_no_knowledge(planted):
    knowledge = network(SidVectors, planted)
    plugged = PluggedNetwork(SidVectors(planted.candidates, 16), knowledge, EFFORT.width)
    history, shown = torch.tensor([[1, 9]]), torch.tensor([[17, 3]])
    before = plugged(history, shown).logits
    with torch.no_grad():
        knowledge.body[0].bias += 1.0
    assert torch.equal(plugged(history, shown).logits, before)
    plugged(history, shown).logits.sum().backward()
    assert all(parameter.grad is None for parameter in knowledge.parameters())
    assert plugged.plug.weight.grad.any()


def test_no_gradient_of_the_hint_reaches_the_booster(planted):
    light, booster = network(SidVectors, planted), network(EmbeddingVectors, planted)
    history, shown = torch.tensor([[1, 9]]), torch.tensor([[17, 3]])
    hint(light(history, shown).logits, booster(history, shown).logits).backward()
    assert all(parameter.grad is None for parameter in booster.parameters())
    assert light.out.weight.grad.any()


def test_a_rocket_adds_the_loss_of_the_booster_and_the_hint_and_flies_alone(planted):
    light, booster = network(SidVectors, planted), network(EmbeddingVectors, planted)
    both = RocketNetwork(light, booster)
    history, shown = torch.tensor([[1, 9]]), torch.tensor([[17, 3]])
    a, b = light(history, shown).logits.detach(), booster(history, shown).logits.detach()
    own = (-torch.sigmoid(b[0, 0]).log() - torch.sigmoid(-b[0, 1]).log()) / 2
    found = both(history, shown).penalty.item()
    assert found == pytest.approx(own.item() + 0.1 * ((a - b) ** 2).mean().item(), abs=1e-5)
    both.eval()
    assert both(history, shown).penalty.item() == 0
    assert torch.equal(both(history, shown).logits, a)


def test_a_rocket_is_a_light_net(planted):
    fitted = RocketRanker(SidVectors, EmbeddingVectors).fit(planted, EFFORT, SILENT.progress)
    names = {name for name, _ in fitted.network.named_parameters()}
    assert names == {name for name, _ in network(SidVectors, planted).named_parameters()}
    assert np.isfinite(auc(fitted, planted.test))
    assert auc(fitted, planted.test) > 0.6
