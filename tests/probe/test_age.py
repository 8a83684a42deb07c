"""Replays: fair pools, policies that do what they say, and a ranker that learns from what was shown only."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from probe.planted_rankings import QUICK, auc, behaviour, chains, scored

from drq_spark.probe.age import Replay, adversarial, earned, epsilon_greedy, greedy, pools, replay
from drq_spark.probe.din import din
from drq_spark.probe.exploring import adversarially
from drq_spark.probe.item_vectors import SidVectors
from drq_spark.progress import SILENT

COLD = np.arange(48) < 8  # items of the first code


@pytest.fixture(scope="module")
def fitted():
    return din(SidVectors).fit(behaviour(chains()), QUICK, SILENT.progress)


@pytest.fixture(scope="module")
def stream():
    return behaviour(chains(seed=4)).test


def asked(stream):
    shown = torch.from_numpy(pools(stream, 0).astype(np.int64))
    return torch.from_numpy(stream.history.astype(np.int64)), shown


def test_pools_hold_the_target_and_items_that_come_as_often(stream):
    stream = replace(stream, target=stream.target % 40, others=np.full_like(stream.others, 47))
    found = pools(stream, 0)
    assert found.shape == (240, 6)
    assert (found == stream.target[:, None]).any(axis=1).all()
    assert set(found.ravel()) <= set(stream.target)
    assert (found[:, 0] == stream.target).mean() < 0.4  # the target may stand anywhere


def test_no_step_is_greedy_and_all_of_chance_is_chance(fitted, stream):
    best = replay(fitted, stream, COLD, greedy, 3, 0, 0.01)
    same = replay(fitted, stream, COLD, adversarial(0.0), 3, 0, 0.01)
    anything = replay(fitted, stream, COLD, epsilon_greedy(1.0), 3, 0, 0.01)
    assert np.array_equal(best.clicked, same.clicked)
    assert anything.clicked.mean() == pytest.approx(1 / 6, abs=0.1)  # one of six, some of which are the target again
    assert anything.cold.mean() == pytest.approx((stream.target < 8).mean(), abs=0.1)


def test_exploration_lifts_what_passes_the_gate_and_leaves_the_rest(fitted, stream):
    history, shown = asked(stream)
    network = copy.deepcopy(fitted.network)
    generator = torch.Generator().manual_seed(0)
    gained = adversarial(0.3)(network, history, shown, generator) - greedy(network, history, shown, generator)
    assert (gained > -1e-4).float().mean() > 0.98  # up the gradient; a step may be too long for few
    assert 0.3 < (gained.abs() > 1e-5).float().mean() <= 0.5  # above the middle one of six
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_replay_learns_and_leaves_the_ranker_as_it_was(fitted, stream):
    before = copy.deepcopy(fitted.network.state_dict())
    outcome = replay(fitted, stream, COLD, adversarial(1.0), 10, 0, 0.01)
    assert all(torch.equal(before[name], value) for name, value in fitted.network.state_dict().items())
    assert not np.array_equal(
        outcome.fitted.scores(stream.history, stream.others), fitted.scores(stream.history, stream.others)
    )
    again = replay(fitted, stream, COLD, adversarial(1.0), 10, 0, 0.01)
    assert np.array_equal(outcome.clicked, again.clicked)


def test_what_a_policy_has_shown_is_learned_and_earned():
    data, told = behaviour(chains()), []
    ranker = adversarially(SidVectors)
    after = ranker.fit(data, QUICK, lambda stage, done, total, **figures: told.append(stage))
    before = din(SidVectors).fit(data, QUICK, SILENT.progress)
    assert not np.array_equal(scored(after, data.test), scored(before, data.test))
    assert auc(after, data.test) > auc(before, data.test) - 0.03  # answers do not undo what events have taught
    rate = 0.2 * QUICK.learning_rate
    twelve = replay(before, data.validation, data.candidates.cold, adversarial(1.0), 12, QUICK.seed, rate)
    assert np.array_equal(scored(twelve.fitted, data.test), scored(after, data.test))  # 240 questions, 20 a round
    assert told[-1] == "replay"
    clicks = after.earned[0]
    assert (clicks.figure, clicks.segment, clicks.questions) == ("clicks", "all", len(data.validation))
    assert 1 / 6 < clicks.value <= 1
    assert 0 < clicks.standard_error < 0.05


def test_clicks_are_counted_by_what_was_shown(fitted):
    outcome = Replay(np.array([1, 0, 1, 1]) > 0, np.array([1, 1, 0, 0]) > 0, fitted)
    every, cold = earned(outcome, np.array([7, 8, 8, 9]))
    assert (every.value, every.questions) == (0.75, 4)
    assert (cold.segment, cold.value, cold.questions) == ("cold", 0.5, 2)
    deviations = np.array([0.25, -0.75 + 0.25, 0.25]) / 4
    assert every.standard_error == pytest.approx(np.sqrt(3 / 2 * np.square(deviations).sum()))
    warm = Replay(outcome.clicked, np.zeros(4, np.bool_), fitted)
    assert [one.segment for one in earned(warm, np.arange(4))] == ["all"]


class Sums(torch.nn.Module):
    """A network whose logit is the sum of an item's vector, whoever is asked."""

    table = torch.tensor([[8.0] * 4, [0.5, 0.5, -0.5, 0.0], [-5.0] * 4, [-6.0] * 4])

    def vectors(self, rows):
        return self.table[rows]

    def at(self, seen, history, items):
        return items.sum(dim=-1)


def test_only_what_is_worth_a_try_and_unsure_is_explored():
    """Items of logits 32, .5, -20, -24: the first is sure, the last two are below the middle; the gradient is ones."""
    history, shown = torch.tensor([[0, 1]]), torch.tensor([[0, 1, 2, 3]])
    before = Sums().at(None, None, Sums().vectors(shown))
    gained = adversarial(1.0)(Sums(), history, shown, torch.Generator().manual_seed(1)) - before
    assert gained[0].tolist() == pytest.approx([0, float(gained[0, 1]), 0, 0], abs=1e-3)
    assert 0.02 < gained[0, 1] < 1  # twice the standard deviation of a probability near one half
