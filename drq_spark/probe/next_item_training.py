"""Training a network on every step of every sequence, until the validation part says that it gets worse."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

from drq_spark.arrays import F32, I32
from drq_spark.blocks import row_blocks
from drq_spark.errors import InputRefused
from drq_spark.probe.behaviour_data import NO_ITEM, BehaviourData
from drq_spark.probe.history_encoder import first_in_front
from drq_spark.probe.judged_questions import some_questions
from drq_spark.probe.model_contract import Effort
from drq_spark.progress import Progress
from drq_spark.train.descent import Descent
from drq_spark.train.runtime import random_stream

STREAM = 22
"""Of random numbers: weights and dropout; STREAM, 0: batches and what is drawn for a loss."""
_SORTED_TOGETHER = 16  # batches; rows of about one length waste few places
_PATIENCE = 2  # passes without a better one
_WEIGHT_DECAY = 0.01
ASKED_TOGETHER = 512
"""Questions that are answered at one time."""


class NextItemNetwork(nn.Module, ABC):
    """What is trained: a network that says how likely items are after each step.

    Attributes:
        history: Items of a user that it looks back at.
    """

    history: int

    @abstractmethod
    def step_loss(self, items: Tensor, following: Tensor, draw: torch.Generator) -> Tensor:
        """Mean loss over all steps.

        Args:
            items, following: int64 [b, t], an item and the one after it, `NO_ITEM` behind the last step.
            draw: For what is drawn at random, such as negatives.
        """

    @abstractmethod
    def surprise(self, items: Tensor, target: Tensor) -> Tensor:
        """-ln p of each target after items as from `asked`, in nats: int64 [q, t], int64 [q] -> [q]."""

    def asked(self, history: I32) -> Tensor:
        """Histories with the first item in front: int32 [q, H], `NO_ITEM` in front -> int64 [q, t], t at least 1."""
        rows = first_in_front(history[:, -self.history :])
        longest = max(1, int((rows != NO_ITEM).sum(axis=1).max(initial=0)))
        return torch.from_numpy(rows[:, :longest].astype(np.int64))

    @torch.no_grad()
    def surprises(self, history: I32, target: I32) -> F32:
        """`surprise` of targets after histories: int32 [q, H], int32 [q] -> float32 [q]."""
        self.eval()
        values = np.empty(len(target), np.float32)
        for block in row_blocks(len(target), 1, ASKED_TOGETHER):
            asked = torch.from_numpy(target[block].astype(np.int64))
            values[block] = self.surprise(self.asked(history[block]), asked).numpy()
        return values


def train_next_item(
    network: NextItemNetwork, data: BehaviourData, effort: Effort, progress: Progress, name: str
) -> None:
    """Train a network in place; it ends as it was after the pass with the least surprise by validation questions.

    Raises:
        InputRefused: no user has two events.
        TrainingFailed: the loss is not finite.
    """
    windows = first_in_front(data.training.windows(effort.history + 1))
    if not len(windows):
        raise InputRefused("models learn from users with two events or more, and the training part has none")
    draw = random_stream(effort.seed, STREAM, 0)
    rows, lengths = torch.from_numpy(windows.astype(np.int64)), torch.from_numpy((windows != NO_ITEM).sum(axis=1))
    optimizer = torch.optim.AdamW(network.parameters(), lr=effort.learning_rate, weight_decay=_WEIGHT_DECAY, fused=True)
    steps = effort.epochs * -(-len(rows) // effort.batch_size)
    descent = Descent(optimizer, steps, "lower the learning rate")
    asked = some_questions(data.validation, effort.seed)
    best, kept, since = np.inf, network.state_dict(), 0
    for epoch in range(effort.epochs):
        network.train()
        losses = []
        for batch in batches(lengths, effort.batch_size, draw):
            window = rows[batch, : int(lengths[batch].max())]
            losses.append(descent.step(network.step_loss(window[:, :-1], window[:, 1:], draw)))
        surprise = float(network.surprises(asked.history, asked.target).mean()) if len(asked) else -float(epoch)
        progress(name, epoch + 1, effort.epochs, loss=float(np.mean(losses)), surprise=surprise)
        if surprise < best:
            best, kept, since = surprise, copy.deepcopy(network.state_dict()), 0
        else:
            since += 1
        if since == _PATIENCE:
            break
    network.load_state_dict(kept)
    network.eval()


def batches(lengths: Tensor, size: int, draw: torch.Generator) -> list[Tensor]:
    """One pass over rows in a random order, in batches of `size` rows of about one length; the last may be smaller."""
    order = torch.randperm(len(lengths), generator=draw)
    cut: list[Tensor] = []
    for some in torch.split(order, size * _SORTED_TOGETHER):
        cut.extend(torch.split(some[lengths[some].argsort(stable=True)], size))
    return [cut[int(nth)] for nth in torch.randperm(len(cut), generator=draw)]
