"""Rankers find what is planted and nothing where nothing is, and their parts are the formulas that they say."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from probe.planted_rankings import EFFORT, QUICK, auc, behaviour, chains, meaningless, scored

from drq_spark.errors import TrainingFailed
from drq_spark.probe.behaviour_data import NO_ITEM, Sequences
from drq_spark.probe.can import CoAction, can
from drq_spark.probe.dien import AttentionalGru, InterestEvolution, dien
from drq_spark.probe.din import TargetAttention, din
from drq_spark.probe.hpmn import hpmn
from drq_spark.probe.item_vectors import EmbeddingVectors, IdVectors, ResVectors, SidVectors
from drq_spark.probe.mimn import mimn
from drq_spark.probe.ranker import FittedNetwork, mean_pooling
from drq_spark.probe.ranker_training import balanced_loss, train_until_worse
from drq_spark.probe.ranking_examples import RankingExamples
from drq_spark.progress import SILENT

NOISE = 4 * 0.3 / 240**0.5  # of an AUC of 240 questions, four errors


@pytest.fixture(scope="module")
def planted():
    return behaviour(chains())


@pytest.fixture(scope="module")
def base(planted):
    return mean_pooling(SidVectors).fit(planted, EFFORT, SILENT.progress)


def test_a_mean_of_the_history_cannot_tell_what_comes_next(planted, base):
    assert auc(base, planted.test) < 0.78


@pytest.mark.parametrize("make", [din, dien, can, mimn, hpmn])
def test_each_model_finds_what_the_order_of_codes_decides(planted, make):
    fitted = make(SidVectors).fit(planted, EFFORT, SILENT.progress)
    assert auc(fitted, planted.test) > 0.8
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(scored(again, planted.test), scored(fitted, planted.test))


@pytest.mark.parametrize("vectors", [IdVectors, EmbeddingVectors, ResVectors])
def test_it_is_found_by_any_vectors(planted, vectors):
    assert auc(din(vectors).fit(planted, EFFORT, SILENT.progress), planted.test) > 0.8


@pytest.mark.parametrize("make", [mean_pooling, din, dien, can, mimn, hpmn])
def test_nothing_is_found_where_nothing_is(make):
    data = behaviour(meaningless())
    assert abs(auc(make(SidVectors).fit(data, QUICK, SILENT.progress), data.test) - 0.5) < NOISE


def test_the_same_seed_gives_the_same_bits(planted):
    fits = [dien(SidVectors).fit(planted, QUICK, SILENT.progress) for _ in range(2)]
    assert np.array_equal(scored(fits[0], planted.test), scored(fits[1], planted.test))


@pytest.mark.parametrize("make", [mean_pooling, din, dien, can])
def test_padding_changes_no_score_and_an_empty_history_has_one(planted, make):
    fitted = FittedNetwork(make(SidVectors).build(planted.candidates, QUICK))
    history = np.array([[3, 20], [NO_ITEM, 7]], np.int32)
    shown = np.array([[1, 30], [2, 40]], np.int32)
    padded = np.concatenate([np.full((2, 5), NO_ITEM, np.int32), history], axis=1)
    alone = np.concatenate([fitted.scores(history[:1], shown[:1]), fitted.scores(history[1:, 1:], shown[1:])])
    np.testing.assert_allclose(fitted.scores(padded, shown), alone, atol=1e-5)
    assert np.isfinite(fitted.scores(np.full((2, 4), NO_ITEM, np.int32), shown)).all()


def test_a_loss_that_is_not_finite_is_told(planted):
    broken = behaviour(chains())
    broken.candidates.x[0, 0] = math.nan
    with pytest.raises(TrainingFailed, match="lower the learning rate"):
        din(EmbeddingVectors).fit(broken, QUICK, SILENT.progress)


@pytest.mark.parametrize("seed", range(10))
def test_every_event_with_one_before_it_is_an_example_once(seed):
    sequences = Sequences(np.array([0, 3, 4, 8]), np.array([5, 6, 7, 9, 1, 2, 3, 4], np.int32))
    examples = RankingExamples(sequences, history=2, negatives=3, seed=seed)
    found = {}
    for batch in examples.batches(3):
        for history, shown in zip(batch.history.tolist(), batch.shown.tolist(), strict=True):
            assert shown[0] not in shown[1:]
            assert shown[0] not in found
            found[shown[0]] = [item for item in history if item != NO_ITEM]
    assert found == {6: [5], 7: [5, 6], 2: [1], 3: [1, 2], 4: [2, 3]}


def test_the_balanced_loss_is_the_log_loss_of_two_halves():
    logits = torch.tensor([[0.3, -1.0, 2.0]])
    yes, no = torch.sigmoid(logits[0, 0]), 1 - torch.sigmoid(logits[0, 1:])
    assert float(balanced_loss(logits)) == pytest.approx(float(-(yes.log() + no.log().mean()) / 2))


def test_augru_is_the_loop_of_its_formula():
    torch.manual_seed(0)
    cell, states, attention = AttentionalGru(3), torch.randn(2, 4, 3), torch.rand(2, 5, 4)
    found = cell(states, attention)
    inputs, bias = cell.input.weight.view(3, 3, 3), cell.input.bias.view(3, 3)
    gates = cell.gates.weight.view(2, 3, 3)
    for row in range(2):
        for item in range(5):
            h = torch.zeros(3)
            for step in range(4):
                s = states[row, step]
                update = torch.sigmoid(inputs[0] @ s + bias[0] + gates[0] @ h) * attention[row, item, step]
                reset = torch.sigmoid(inputs[1] @ s + bias[1] + gates[1] @ h)
                changed = torch.tanh(inputs[2] @ s + bias[2] + cell.candidate.weight @ (reset * h))
                h = (1 - update) * h + update * changed
            assert torch.allclose(found[row, item], h, atol=1e-6)


def test_co_action_is_the_loop_over_pairs_of_codes(planted):
    torch.manual_seed(0)
    items = planted.candidates
    crosses = CoAction(items)
    history, shown = torch.tensor([[NO_ITEM, 5, 20]]), torch.tensor([[9, 33]])
    found = crosses(history, shown)
    assert found.shape == (1, 2, crosses.width)
    for place, item in enumerate([9, 33]):
        expected = []
        for level, offset in enumerate([0, items.codebook_sizes[0]]):
            weights = crosses.weights.weight[int(items.codes[item, level]) + offset]
            first, second = weights[:64].view(8, 8), weights[64:].view(4, 8)
            total = torch.zeros(12)
            for seen in (5, 20):
                y1 = torch.tanh(first @ crosses.inputs.weight[int(items.codes[seen, level]) + offset])
                total += torch.cat([y1, torch.tanh(second @ y1)])
            expected.append(total / 2**0.5)
        assert torch.allclose(found[0, place], torch.cat(expected), atol=1e-6)


def test_target_attention_is_the_loop_of_its_formula():
    """The second history has one item, and what stands before it is none."""
    torch.manual_seed(0)
    part = TargetAttention(4)
    torch.nn.init.normal_(part.unit.age.weight)
    seen, known = torch.randn(2, 3, 4), torch.tensor([[True] * 3, [False, False, True]])
    shown, unit = torch.randn(2, 5, 4), part.unit
    found = part(seen, known, shown).logits
    for row in range(2):
        for item in range(5):
            t, total, weights = shown[row, item], torch.zeros(4), 1.0
            for place in range(3):
                if known[row, place]:
                    h, age = seen[row, place], unit.age.weight[2 - place]
                    hidden = unit.seen(h) + unit.shown(t) + unit.seen_factor(h) * unit.shown_factor(t) + age
                    weight = torch.exp(unit.out(torch.nn.functional.silu(hidden)))[0]
                    total, weights = total + weight * h, weights + weight
            assert torch.allclose(found[row, item], total / weights, atol=1e-6)


def test_the_auxiliary_loss_tells_the_next_item_from_that_of_the_next_user():
    """Against a loop; histories of two and of three items, so one pair of steps is compared, in both directions."""
    torch.manual_seed(0)
    part = InterestEvolution(4)
    seen, known = torch.randn(2, 3, 4), torch.tensor([[False, True, True], [True, True, True]])
    seen = seen * known[..., None]
    short, long = seen[0, 1:], seen[1]
    states = [part.next(part.extraction(row[None])[0][0, 0]) for row in (short, long)]
    losses = [
        (torch.sigmoid(state @ came).log() + torch.sigmoid(-(state @ other)).log()) / -2
        for state, came, other in zip(states, (short[1], long[1]), (long[1], short[1]), strict=True)
    ]
    found = part(seen, known, torch.randn(2, 5, 4)).penalty
    assert found.item() == pytest.approx(0.5 * torch.stack(losses).mean().item(), abs=1e-6)
    assert part.eval()(seen, known, torch.randn(2, 5, 4)).penalty.item() == 0


def test_crosses_reach_the_score(planted):
    network = can(SidVectors).build(planted.candidates, QUICK)
    history, shown = planted.test.history[:3], planted.test.others[:3]
    before = FittedNetwork(network).scores(history, shown)
    with torch.no_grad():
        network.crosses.inputs.weight *= -1
    assert np.abs(FittedNetwork(network).scores(history, shown) - before).min() > 1e-6


def test_the_pull_of_residuals_is_a_part_of_the_loss(planted):
    network = din(ResVectors).build(planted.candidates, QUICK)
    history, shown = torch.tensor([[1, 9]]), torch.tensor([[17, 3]])
    before = network(history, shown).penalty
    with torch.no_grad():
        network.vectors.residual.weight[17] = 1.0
    assert (network(history, shown).penalty - before).item() == pytest.approx(network.vectors.pull(shown).item()) != 0


class Scripted(torch.nn.Module):
    """Counts its passes, and tells items apart as well as a script says after each."""

    def __init__(self, script):
        super().__init__()
        self.script, self.asked = script, 0
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def scores(self, history, shown):
        self.asked += 1
        return np.where(np.arange(shown.shape[1]) == 0, 1, -1) * np.full(shown.shape, self.script[self.asked - 1])


@pytest.mark.parametrize(
    ("script", "weight", "asked"), [([1, 2, 1.5, 3, 2.5, 9], -2.2, 5), ([1, 2, 3], -3, 3), ([3, 2, 1, 9], -1, 3)]
)
def test_worse_passes_are_undone_and_the_second_one_ends_training(planted, script, weight, asked):
    """Adam takes a step of the learning rate each pass, a fifth of it after a worse one."""
    network, effort = Scripted(script), replace(QUICK, epochs=len(script), learning_rate=1.0)
    train_until_worse(
        network, lambda: [0], lambda _: network.weight.sum(), network, planted.validation, 1, effort, SILENT.progress
    )
    assert network.asked == asked
    assert network.weight.item() == pytest.approx(weight, abs=0.02)
