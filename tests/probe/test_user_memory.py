"""States of users move with events: in two goes as in one, and by the formulas that the cells say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from probe.planted_rankings import ITEMS, candidates
from torch.nn.functional import silu

from drq_spark.probe.behaviour_data import NO_ITEM
from drq_spark.probe.hpmn import PeriodicMemoryCell
from drq_spark.probe.item_vectors import SidVectors
from drq_spark.probe.mimn import MemoryInductionCell
from drq_spark.probe.ranker_training import STREAM
from drq_spark.probe.user_memory import FittedMemory, MemoryNetwork
from drq_spark.train.runtime import seeded

WIDTH = 6
BOTH = pytest.mark.parametrize("cell", [MemoryInductionCell, PeriodicMemoryCell])


def memory(cell):
    with seeded(3, STREAM):
        network = MemoryNetwork(SidVectors(candidates(np.arange(ITEMS)), WIDTH), cell(WIDTH), 8)
    return FittedMemory(network, network.vectors)


def events(users=5, length=23):
    rng = np.random.default_rng(1)
    items = rng.integers(0, ITEMS, (users, length)).astype(np.int32)
    items[rng.random(items.shape) < 0.2] = NO_ITEM
    return items


@BOTH
def test_two_goes_are_one_to_the_bit(cell):
    fitted, items = memory(cell), events()
    once = fitted.update(fitted.start(5), items)
    first = fitted.update(fitted.start(5), items[:, :9])
    kept = first.copy()
    twice = fitted.update(first, items[:, 9:])
    assert once.dtype == np.float32
    assert once.shape == (5, fitted.network.cell.size)
    assert np.array_equal(once, twice)
    assert np.array_equal(first, kept)  # what was given is not written to
    shown = np.array([[1, 2, 3]] * 5, np.int32)
    assert np.array_equal(fitted.scores(items, shown), fitted.state_scores(twice, shown))
    assert np.isfinite(fitted.scores(np.full((5, 2), NO_ITEM, np.int32), shown)).all()


@BOTH
def test_no_item_leaves_a_state_as_it_is_and_an_item_does_not(cell):
    fitted = memory(cell)
    state = fitted.update(fitted.start(5), events())
    assert np.array_equal(fitted.update(state, np.full((5, 3), NO_ITEM, np.int32)), state)
    assert (fitted.update(state, np.full((5, 1), 4, np.int32)) != state).any(axis=1).all()


@BOTH
def test_training_asks_with_the_states_before_each_item(cell):
    fitted = memory(cell)
    windows = torch.tensor([[NO_ITEM, 3, 9, 20], [5, 6, 7, 8]])
    others = torch.tensor([[[1], [2], [4]], [[10], [11], [12]]])
    losses = []
    for row, item, other in [(0, 2, 2), (0, 3, 4), (1, 1, 10), (1, 2, 11), (1, 3, 12)]:
        shown = np.array([[int(windows[row, item]), other]], np.int32)
        yes, no = fitted.scores(windows[row : row + 1, :item].numpy().astype(np.int32), shown)[0]
        losses.append((np.logaddexp(0, -yes) + np.logaddexp(0, no)) / 2)
    last = torch.from_numpy(fitted.update(fitted.start(2), windows[:, :-1].numpy().astype(np.int32)))
    penalty = fitted.network.cell.penalty(last)
    assert float((fitted.network.loss(windows, others) - penalty).detach()) == pytest.approx(np.mean(losses), abs=1e-5)


def test_each_layer_moves_half_as_often_as_the_one_below():
    torch.manual_seed(0)
    cell = PeriodicMemoryCell(WIDTH)
    state, moves = torch.zeros(1, cell.size), np.zeros(5, int)
    for _ in range(32):
        after = cell.step(state, torch.randn(1, WIDTH))
        moves += (after != state)[0, :-1].view(5, WIDTH).any(dim=1).numpy()
        state = after
    assert moves.tolist() == [32, 16, 8, 4, 2]


def test_the_share_of_use_of_slots_is_what_is_penalised():
    cell = MemoryInductionCell(WIDTH)
    state = torch.zeros(2, cell.size)
    state[:, -4:] = torch.tensor([[2.0, 2.0, 2.0, 2.0], [4.0, 0.0, 0.0, 0.0]])
    assert float(cell.penalty(state[:1])) == 0
    assert float(cell.penalty(state[1:])) == pytest.approx(0.1 * (0.75**2 + 3 * 0.25**2))


def test_erase_and_add_are_those_of_the_address():
    """One event, written out: an empty memory holds the address times what is added, and the use is the address."""
    torch.manual_seed(0)
    cell = MemoryInductionCell(WIDTH)
    with torch.no_grad():
        event = torch.randn(1, WIDTH)
        after = cell.step(torch.zeros(1, cell.size), event)
        memory_after, lines, controller, use = torch.split(after, cell.parts, dim=1)
        hidden = cell.controller(torch.cat([event, torch.zeros(1, WIDTH)], dim=1), torch.zeros(1, WIDTH))
        key = cell.write_key(hidden)[0]
        names = cell.names
        cosines = torch.stack([key @ name / (key.norm() * name.norm()) for name in names])
        address = torch.softmax(5 * cosines, dim=0) * torch.softmax(cell.turn.weight.sum(dim=1) / 4, dim=0)
        address = address / address.sum()
        plain, twice = torch.softmax(5 * cosines, dim=0), cell.step(after, event)
        added = torch.outer(address, torch.tanh(cell.add(hidden))[0])
    assert torch.allclose(controller, hidden)
    assert torch.allclose(use[0], address, atol=1e-6)
    assert torch.allclose(memory_after.view(4, WIDTH), added, atol=1e-6)
    assert lines.view(4, WIDTH).any(dim=1).nonzero().flatten().tolist() == sorted(plain.topk(2).indices.tolist())
    assert twice[0, -4:].sum().item() == pytest.approx(2, abs=1e-5)  # uses of all events add up


def test_slots_of_all_periods_are_weighed_by_the_item_and_kept_apart():
    """Against loops over the slots."""
    torch.manual_seed(0)
    cell, state, shown = PeriodicMemoryCell(WIDTH), torch.randn(2, 5 * WIDTH + 1), torch.randn(2, 3, WIDTH)
    found, penalties = cell.read(state, shown), []
    for row in range(2):
        slots = state[row, :-1].view(5, WIDTH)
        for place in range(3):
            worth = [cell.weight(silu(cell.slot(slot) + cell.item(shown[row, place]))) for slot in slots]
            expected = torch.softmax(torch.cat(worth), dim=0) @ slots
            assert torch.allclose(found[row, place], expected, atol=1e-6)
        covariances = [[((a - a.mean()) * (b - b.mean())).mean() for b in slots] for a in slots]
        penalties.append(sum(float(covariances[a][b]) ** 2 for a in range(5) for b in range(a)))
    assert cell.penalty(state).item() == pytest.approx(0.01 * np.mean(penalties), rel=1e-4)
