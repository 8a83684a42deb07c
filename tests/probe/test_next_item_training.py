"""Batches, the end of training, and the loss that draws its negatives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from probe.planted import behaviour
from torch import Tensor
from torch.nn import functional

from drq_spark.probe.model_contract import Effort
from drq_spark.probe.next_item_training import STREAM, NextItemNetwork, batches, train_next_item
from drq_spark.probe.sasrec import ItemNetwork
from drq_spark.progress import SILENT
from drq_spark.train.runtime import seeded


def test_a_pass_takes_every_row_once_in_batches_of_like_length():
    lengths = torch.randint(2, 50, (1000,), generator=torch.Generator().manual_seed(0))
    cut = batches(lengths, 16, torch.Generator().manual_seed(1))
    assert sorted(torch.cat(cut).tolist()) == list(range(1000))
    assert max(len(batch) for batch in cut) == 16
    spread = [float(lengths[batch].float().std()) for batch in cut if len(batch) == 16]
    assert max(spread) < 0.5 * float(lengths.float().std())
    assert [batch.tolist() for batch in cut] != [
        batch.tolist() for batch in batches(lengths, 16, torch.Generator().manual_seed(2))
    ]


class _Scripted(NextItemNetwork):
    """Is surprised by a script, and counts in its only buffer the passes that it has been asked after."""

    def __init__(self, script: list[float]) -> None:
        super().__init__()
        self.history, self.script, self.widths = 6, script, []
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.register_buffer("passes", torch.zeros(1, dtype=torch.int64))

    def step_loss(self, items: Tensor, following: Tensor, draw: torch.Generator) -> Tensor:
        self.widths.append(items.shape[1])
        return self.weight.square().sum()

    def surprise(self, items: Tensor, target: Tensor) -> Tensor:
        self.passes += 1
        return torch.full(target.shape, self.script[int(self.passes) - 1])


@pytest.mark.parametrize(
    ("script", "kept", "asked"), [([3, 2, 2.5, 1, 1.5, 1.2, 0], 4, 6), ([3, 2, 1], 3, 3), ([1, 2, 3, 0], 1, 3)]
)
def test_training_ends_where_questions_get_worse_and_keeps_what_was_best(script, kept, asked):
    network, told = _Scripted(script), []

    def progress(stage: str, done: int, total: int, **figures: float) -> None:
        told.append((done, figures["surprise"]))

    train_next_item(network, behaviour(True, users=20), Effort(epochs=len(script), history=6), progress, "scripted")
    assert int(network.passes) == kept
    assert set(network.widths) == {6}  # as many items as it is asked with, of the seven that have one behind them
    assert told == [(nth + 1, pytest.approx(script[nth])) for nth in range(asked)]


def test_without_questions_training_goes_on_to_the_end():
    data = behaviour(True, users=20)
    none = replace(
        data.test, **{name: getattr(data.test, name)[:0] for name in ("history", "target", "others", "users")}
    )
    effort = Effort(epochs=3, width=8, history=6)
    network = ItemNetwork(data.candidates.trained_events, effort)
    before = network.items.weight.detach().clone()
    train_next_item(network, replace(data, validation=none), effort, SILENT.progress, "SASRec")
    assert not torch.equal(network.items.weight, before)


def test_drawn_negatives_are_right_in_the_mean():
    """Against the softmax over all of 3,000 items, some of them much more popular than others."""
    events = np.random.default_rng(0).zipf(1.5, 3000).astype(np.int64)
    with seeded(0, STREAM), torch.no_grad():
        network = ItemNetwork(events, Effort(width=8, history=4)).eval()
        torch.nn.init.normal_(network.items.weight, std=0.2)
        items, following = torch.randint(0, 3000, (2, 20, 4))
        states = network.encoder(network.items(items))
        whole = functional.cross_entropy((states @ network.items.weight.T).flatten(0, 1), following.flatten())
        draw = torch.Generator().manual_seed(1)
        drawn = torch.stack([network.step_loss(items, following, draw) for _ in range(60)])
    assert abs(float(drawn.mean() - whole)) < 0.05
    assert float(drawn.std()) > 0


def test_an_item_is_no_negative_of_itself():
    """All draws are of the item that came: nothing else is left, and it is no surprise."""
    with seeded(0, STREAM), torch.no_grad():
        network = ItemNetwork(np.ones(3000, np.int64), Effort(width=8, history=4)).eval()
        network.chance = torch.zeros(3000).index_fill(0, torch.tensor([7]), 1.0)
        items, following = torch.randint(0, 3000, (2, 4)), torch.full((2, 4), 7)
        assert float(network.step_loss(items, following, torch.Generator().manual_seed(1))) == 0
