"""Users as states of a fixed size that events move on, for histories of any length.

A night reads the state of each user and the new events only, and writes the state back: what it costs does not grow
with the history, and nothing is computed from events again when an item is to be scored (user interest centre: Pi et
al. 2019, arXiv 1905.09248). What a state holds is up to a cell, `drq_spark.probe.mimn` or `drq_spark.probe.hpmn`.

Training cuts the users into windows, moves states from empty through each, and asks for the next item at every step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from drq_spark.arrays import F32, I32
from drq_spark.probe.behaviour_data import BehaviourData, Sequences
from drq_spark.probe.item_vectors import ItemVectors
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.ranker import NEGATIVES, MakeVectors
from drq_spark.probe.ranker_training import STREAM, balanced_loss, train_until_worse
from drq_spark.probe.ranking_examples import others_than
from drq_spark.progress import Progress
from drq_spark.train.runtime import seeded

_WINDOWS = 4  # rows of a batch by windows of a batch: a window asks several times


class MemoryCell(nn.Module, ABC):
    """How an event moves a state, and what a state says of an item. `size` is S, the numbers in a state.

    A state of zeros is a user without events.
    """

    size: int

    @abstractmethod
    def step(self, state: Tensor, event: Tensor) -> Tensor:
        """The states float32 [q, S] after one event of each user, vectors [q, w]."""

    @abstractmethod
    def read(self, state: Tensor, shown: Tensor) -> Tensor:
        """The interest [q, C, w] of states [q, S] in items, vectors [q, C, w]."""

    @abstractmethod
    def penalty(self, state: Tensor) -> Tensor:
        """What is added to the loss for these states [q, S], a scalar."""


class MemoryNetwork(nn.Module):
    """Vectors of items, a cell, and a head with one hidden layer."""

    def __init__(self, vectors: ItemVectors, cell: MemoryCell, hidden: int) -> None:
        super().__init__()
        self.vectors, self.cell = vectors, cell
        self.head = nn.Sequential(nn.Linear(3 * vectors.width, hidden), nn.SiLU(), nn.Linear(hidden, 1))

    def states(self, state: Tensor, items: Tensor) -> Iterator[Tensor]:
        """The states [q, S] after each column of items int64 [q, E]; `NO_ITEM` leaves a state as it is."""
        events = self.vectors(items)
        for step in range(items.shape[1]):
            known = (items[:, step] >= 0)[:, None]
            state = torch.where(known, self.cell.step(state, events[:, step]), state)
            yield state

    def logits(self, state: Tensor, shown: Tensor) -> Tensor:
        """States [q, S], items int64 [q, C] -> [q, C]."""
        items = self.vectors(shown)
        interest = self.cell.read(state, items)
        found: Tensor = self.head(torch.cat([interest, items, interest * items], dim=-1)).squeeze(-1)
        return found

    def loss(self, windows: Tensor, others: Tensor) -> Tensor:
        """Of windows int64 [b, T + 1], with others int64 [b, T, C] than the last T items of each."""
        before, after = windows[:, :-1], windows[:, 1:]
        empty = torch.zeros(len(windows), self.cell.size)
        states = torch.stack(list(self.states(empty, before)), dim=1)
        asked = before >= 0
        shown = torch.cat([after[..., None], others], dim=-1)[asked]
        loss = balanced_loss(self.logits(states[asked], shown)).mean()
        return loss + self.cell.penalty(states[:, -1]) + self.vectors.pull(shown)


@dataclass(frozen=True)
class FittedMemory:
    """Scores, which are logits, by states of users."""

    network: MemoryNetwork

    def start(self, users: int) -> F32:
        """States float32 [q, S] of users without events."""
        return np.zeros((users, self.network.cell.size), np.float32)

    def update(self, state: F32, items: I32) -> F32:
        """The states float32 [q, S] after new events int32 [q, E] in order; `NO_ITEM` leaves a state as it is."""
        self.network.eval()
        moved = torch.from_numpy(state)
        with torch.inference_mode():
            for after in self.network.states(moved, torch.from_numpy(items.astype(np.int64))):
                moved = after
        return np.array(moved.numpy(), np.float32)

    def state_scores(self, state: F32, shown: I32) -> F32:
        """float32 [q, S], int32 [q, C] -> float32 [q, C], higher is likelier."""
        self.network.eval()
        with torch.inference_mode():
            scores: F32 = self.network.logits(torch.from_numpy(state), torch.from_numpy(shown.astype(np.int64))).numpy()
        return scores

    def scores(self, history: I32, shown: I32) -> F32:
        """As `FittedRanker`: states from empty through the whole history."""
        return self.state_scores(self.update(self.start(len(history)), history), shown)


@dataclass(frozen=True)
class MemoryRanker:
    """Trains a cell, made for a width of vectors, on items by any vectors."""

    vectors: MakeVectors
    cell: Callable[[int], MemoryCell]

    def fit(self, data: BehaviourData, effort: Effort, progress: Progress) -> FittedMemory:
        """As `Ranker`."""
        windows = _Windows(data.training, effort)
        with seeded(effort.seed, STREAM):
            width = effort.width // 2
            network = MemoryNetwork(self.vectors(data.candidates, width), self.cell(width), effort.width)
            fitted = FittedMemory(network)
            train_until_worse(
                network,
                windows.batches,
                lambda batch: network.loss(*batch),
                fitted,
                data.validation,
                windows.steps,
                effort,
                progress,
            )
        return fitted


class _Windows:
    """Windows of the training part in batches, with items by popularity that did not come."""

    def __init__(self, sequences: Sequences, effort: Effort) -> None:
        self.items, self.windows = sequences.items, sequences.windows(effort.history + 1)
        self.lengths = (self.windows >= 0).sum(axis=1)
        self.size = max(1, effort.batch_size // _WINDOWS)
        self.steps = -(-len(self.windows) // self.size)
        self.rng = np.random.default_rng((effort.seed, 0x57494E44))

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass in random order; windows of about one length stand together, to pad little."""
        order = self.rng.permutation(len(self.windows))
        order = order[np.argsort(self.lengths[order], kind="stable")]
        for start in self.rng.permutation(self.steps) * self.size:
            rows = order[start : start + self.size]
            window = self.windows[rows, -int(self.lengths[rows].max()) :]
            others = others_than(window[:, 1:], NEGATIVES, self.items, self.rng)
            yield torch.from_numpy(window.astype(np.int64)), torch.from_numpy(others.astype(np.int64))
