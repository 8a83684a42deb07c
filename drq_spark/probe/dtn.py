"""DTN: two tasks that cross the same fields each in its own way, beside a shared bottom and MMoE.

The tasks: does the item shown come next (click), and has the next item the same first attribute as the last one
(stay); the first code of the SID stands in where items have no attributes. The fields of an example are the mean of
the history, its last item, and the item shown, which is none for the second task: it is not to be told what came.

A bottom makes of the fields [F, w] a vector for each task, and a tower of its own makes the logit of it:

    shared: silu(W fields)
    MMoE:   sum_e softmax_e(G_t fields) silu(W_e fields)                         Ma et al. 2018 (KDD)
    DTN:    silu(U_t [c_t, p_t]) + the MMoE of the task, with f_t = 2 sigmoid(S_t fields) * fields field by field,
            c_t = f_t * (V_t f_t) + f_t (a cross layer) and p_t the products of each two fields of f_t

so what a field weighs and how it is crossed is the task's. Source of the idea: Bi et al. 2024 (arXiv 2408.11611),
whose three kinds of crosses are two here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from drq_spark.arrays import F32, I32, I64
from drq_spark.probe.behaviour_data import NO_ITEM, BehaviourData, Candidates
from drq_spark.probe.item_vectors import ItemVectors
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.ranker import FittedNetwork, MakeVectors, RankerNetwork, Scored, fit_network
from drq_spark.probe.ranker_training import STREAM
from drq_spark.progress import Progress
from drq_spark.train.runtime import seeded

_FIELDS, _EXPERTS = 3, 4
_PAIRS = list(combinations(range(_FIELDS), 2))
CLICK, STAY = 0, 1


class SharedBottom(nn.Module):
    """One vector for both tasks."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layer = nn.Linear(_FIELDS * width, hidden)

    def forward(self, fields: Tensor, task: int) -> Tensor:
        """Fields float32 [..., F, w] -> [..., hidden] for a task."""
        return functional.silu(self.layer(fields.flatten(-2)))


class MixtureBottom(nn.Module):
    """MMoE."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.experts = nn.Linear(_FIELDS * width, _EXPERTS * hidden)
        self.gates = nn.ModuleList(nn.Linear(_FIELDS * width, _EXPERTS) for _ in (CLICK, STAY))

    def forward(self, fields: Tensor, task: int) -> Tensor:
        """As `SharedBottom`."""
        flat = fields.flatten(-2)
        experts = functional.silu(self.experts(flat)).view(*flat.shape[:-1], _EXPERTS, -1)
        return (torch.softmax(self.gates[task](flat), dim=-1)[..., None] * experts).sum(dim=-2)


class TaskCrosses(nn.Module):
    """DTN."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        flat = _FIELDS * width
        self.mixture = MixtureBottom(width, hidden)
        self.importance = nn.ModuleList(nn.Linear(flat, _FIELDS) for _ in (CLICK, STAY))
        self.cross = nn.ModuleList(nn.Linear(flat, flat) for _ in (CLICK, STAY))
        self.out = nn.ModuleList(nn.Linear(flat + len(_PAIRS) * width, hidden) for _ in (CLICK, STAY))

    def forward(self, fields: Tensor, task: int) -> Tensor:
        """As `SharedBottom`."""
        own = fields * 2 * torch.sigmoid(self.importance[task](fields.flatten(-2)))[..., None]
        flat = own.flatten(-2)
        crossed = flat * self.cross[task](flat) + flat
        products = [own[..., left, :] * own[..., right, :] for left, right in _PAIRS]
        specific = functional.silu(self.out[task](torch.cat([crossed, *products], dim=-1)))
        together: Tensor = self.mixture(fields, task) + specific
        return together


class TwoTasksNetwork(RankerNetwork):
    """Vectors, fields, a bottom, and a tower for each task; the loss of the second task is a penalty."""

    kinds: Tensor

    def __init__(self, candidates: Candidates, vectors: ItemVectors, bottom: nn.Module, hidden: int) -> None:
        super().__init__()
        self.vectors, self.bottom = vectors, bottom
        self.towers = nn.ModuleList(nn.Linear(hidden, 1) for _ in (CLICK, STAY))
        self.register_buffer("kinds", torch.from_numpy(kinds_of(candidates)))

    def forward(self, history: Tensor, shown: Tensor) -> Scored:
        """As `RankerNetwork`; in training the item that came is the first shown."""
        logits = self._logits(history, shown, CLICK)
        if not self.training:
            return Scored(logits, torch.zeros(()))
        stayed = (self.kinds[shown[:, 0]] == self.kinds[history[:, -1]]).float()
        second = functional.binary_cross_entropy_with_logits(self.stay(history), stayed)
        return Scored(logits, second + self.vectors.pull(shown))

    def stay(self, history: Tensor) -> Tensor:
        """Logits [b] that the next item is of the kind of the last one: int64 [b, H] -> [b]."""
        return self._logits(history, torch.full_like(history[:, :1], NO_ITEM), STAY)[:, 0]

    def _logits(self, history: Tensor, shown: Tensor, task: int) -> Tensor:
        seen, items = self.vectors(history), self.vectors(shown)
        mean = seen.sum(dim=1) / (history >= 0).sum(dim=1, keepdim=True).clamp(min=1)
        last = seen[:, -1] if seen.shape[1] else mean
        fields = torch.stack([mean[:, None].expand_as(items), last[:, None].expand_as(items), items], dim=-2)
        logits: Tensor = self.towers[task](self.bottom(fields, task)).squeeze(-1)
        return logits


@dataclass(frozen=True)
class FittedTwoTasks(FittedNetwork):
    """Scores of the first task as those of any ranker, and of the second by history."""

    network: TwoTasksNetwork

    def stays(self, history: I32) -> F32:
        """How likely the next item is of the kind of the last: int32 [q, H] -> logits float32 [q]."""
        self.network.eval()
        with torch.inference_mode():
            return np.asarray(self.network.stay(torch.from_numpy(history.astype(np.int64))).numpy(), np.float32)


@dataclass(frozen=True)
class TwoTasksRanker:
    """Trains both tasks on a bottom: `SharedBottom`, `MixtureBottom` or `TaskCrosses`."""

    vectors: MakeVectors
    bottom: Callable[[int, int], nn.Module] = TaskCrosses

    def fit(self, data: BehaviourData, effort: Effort, progress: Progress) -> FittedTwoTasks:
        """As `Ranker`."""
        width = effort.width // 2
        with seeded(effort.seed, STREAM):
            vectors = self.vectors(data.candidates, width)
            network = TwoTasksNetwork(data.candidates, vectors, self.bottom(width, effort.width), effort.width)
            fit_network(network, data, effort, progress)
        return FittedTwoTasks(network)


def kinds_of(candidates: Candidates) -> I64:
    """The first attribute int64 [n] of each item, or its first code where items have no attributes."""
    coarse = candidates.attributes if candidates.attributes.shape[1] else candidates.codes
    return coarse[:, 0].astype(np.int64)
