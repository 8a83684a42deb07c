"""Users as states of a fixed size that events move on, for histories of any length.

A night reads the state of each user and the new events only, and writes the state back: what it costs does not grow
with the history, and nothing is computed from events again when an item is to be scored (user interest centre: Pi et
al. 2019, arXiv 1905.09248). What a state holds is up to a cell, `drq_spark.probe.mimn` or `drq_spark.probe.hpmn`.

Training cuts the users into windows, moves states from empty through each, and asks for the next item at every step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from drq_spark.arrays import F32, I32
from drq_spark.probe.behaviour_data import NO_ITEM, BehaviourData, Sequences
from drq_spark.probe.item_vectors import ItemVectors, SidVectors
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.ranker import NEGATIVES, MakeVectors
from drq_spark.probe.ranker_training import STREAM, balanced_loss, train_until_worse
from drq_spark.probe.ranking_examples import others_than
from drq_spark.progress import Progress
from drq_spark.train.runtime import seeded

_WINDOWS = 4  # rows of a batch by windows of a batch: a window asks several times
_LOOKED_UP = 256  # events of a user whose vectors are held at one time
MOVED_TOGETHER = 64
"""Users whose states are moved by one product of matrices, neither more nor less, see `FittedMemory.update`."""

N = TypeVar("N", np.float32, np.int32)


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
        self.vectors, self.cell, self.hidden = vectors, cell, hidden
        self.head = nn.Sequential(nn.Linear(3 * vectors.width, hidden), nn.SiLU(), nn.Linear(hidden, 1))

    def states(self, state: Tensor, events: Tensor, known: Tensor) -> Iterator[Tensor]:
        """The states [q, S] after each of the events, vectors [q, E, w]; what is not known [q, E] moves no state."""
        for step in range(events.shape[1]):
            state = torch.where(known[:, step, None], self.cell.step(state, events[:, step]), state)
            yield state

    def logits(self, state: Tensor, items: Tensor) -> Tensor:
        """States [q, S], vectors of items [q, C, w] -> [q, C]."""
        interest = self.cell.read(state, items)
        found: Tensor = self.head(torch.cat([interest, items, interest * items], dim=-1)).squeeze(-1)
        return found

    def loss(self, windows: Tensor, others: Tensor) -> Tensor:
        """Of windows int64 [b, T + 1], with others int64 [b, T, C] than the last T items of each."""
        before, after = windows[:, :-1], windows[:, 1:]
        empty = torch.zeros(len(windows), self.cell.size)
        asked = before >= 0
        states = torch.stack(list(self.states(empty, self.vectors(before), asked)), dim=1)
        shown = torch.cat([after[..., None], others], dim=-1)[asked]
        loss = balanced_loss(self.logits(states[asked], self.vectors(shown))).mean()
        return loss + self.cell.penalty(states[:, -1]) + self.vectors.pull(shown)


@dataclass(frozen=True)
class FittedMemory:
    """Scores, which are logits, by states of users.

    Attributes:
        network: What was trained.
        vectors: Of the items that are spoken of; those of the training in the beginning.
    """

    network: MemoryNetwork
    vectors: ItemVectors

    def knowing(self, codes: I32) -> FittedMemory:
        """The same ranker for any items, known by their SIDs int32 [n, L] and called by their rows there."""
        assert isinstance(self.vectors, SidVectors)  # others know nothing of an item that they have not been trained on
        return replace(self, vectors=self.vectors.knowing(codes))

    def start(self, users: int) -> F32:
        """States float32 [q, S] of users without events."""
        return np.zeros((users, self.network.cell.size), np.float32)

    def update(self, state: F32, items: I32) -> F32:
        """The states float32 [q, S] after new events int32 [q, E] in order; `NO_ITEM` leaves a state as it is.

        A product of matrices adds up in an order that depends on how many rows it has. So users are moved by blocks of
        one size, and a state has the same bits whoever else is moved with it.
        """
        self.network.eval()
        moved = np.empty_like(state)
        for first in range(0, len(state), MOVED_TOGETHER):
            block = slice(first, first + MOVED_TOGETHER)
            moved[block] = self._moved(_filled_up(state[block], 0), _filled_up(items[block], NO_ITEM))[
                : len(state) - first
            ]
        return moved

    def _moved(self, state: F32, items: I32) -> F32:
        moved, rows = torch.from_numpy(state), torch.from_numpy(items.astype(np.int64))
        with torch.inference_mode():
            for some in torch.split(rows, _LOOKED_UP, dim=1):
                for after in self.network.states(moved, self.vectors(some), some >= 0):
                    moved = after
        return np.asarray(moved.numpy(), np.float32)

    def state_scores(self, state: F32, shown: I32) -> F32:
        """float32 [q, S], int32 [q, C] -> float32 [q, C], higher is likelier."""
        self.network.eval()
        with torch.inference_mode():
            items = self.vectors(torch.from_numpy(shown.astype(np.int64)))
            scores: F32 = self.network.logits(torch.from_numpy(state), items).numpy()
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
            fitted = FittedMemory(network, network.vectors)
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


def _filled_up(rows: NDArray[N], value: int) -> NDArray[N]:
    """Rows [q, ..] with rows of a value behind them, `MOVED_TOGETHER` in all."""
    return np.pad(rows, ((0, MOVED_TOGETHER - len(rows)), (0, 0)), constant_values=value)


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
