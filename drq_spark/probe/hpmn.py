"""HPMN: layers of memory, each updated half as often as the one below it, by what the one below has come to.

A state is the slots M_1 .. M_D [D, w] and the number of events modulo the longest period. With event t,

    M_i = GRU_i(M_{i-1}, M_i) where t is a multiple of 2^{i-1}, M_0 = e_t, else as it was

    interest = sum_i softmax_i(v silu(A M_i + B item)) M_i

so the first layers follow the last events and the last ones what a user always was. The penalty is the squared
covariance of different slots, so that they hold different things. Source: Ren et al. 2019 (SIGIR, arXiv 1905.00758).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from drq_spark.probe.ranker import MakeVectors
from drq_spark.probe.user_memory import MemoryCell, MemoryRanker

_LAYERS = 5  # periods 1, 2, 4, 8, 16
_COVARIANCE = 0.01  # weight of the penalty


class PeriodicMemoryCell(MemoryCell):
    """Layers with periods that double."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.size = _LAYERS * width + 1
        self.layers = nn.ModuleList(nn.GRUCell(width, width) for _ in range(_LAYERS))
        self.slot, self.item = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.weight = nn.Linear(width, 1, bias=False)

    def step(self, state: Tensor, event: Tensor) -> Tensor:
        """As `MemoryCell`."""
        count = state[:, -1:] + 1
        below, moved = event, []
        for level, (layer, slot) in enumerate(zip(self.layers, self._slots(state).unbind(1), strict=True)):
            below = torch.where(torch.remainder(count, 2**level) == 0, layer(below, slot), slot)
            moved.append(below)
        return torch.cat([*moved, torch.remainder(count, 2 ** (_LAYERS - 1))], dim=1)

    def read(self, state: Tensor, shown: Tensor) -> Tensor:
        """As `MemoryCell`: slots are weighed by the item."""
        slots = self._slots(state)
        hidden = functional.silu(self.slot(slots)[:, None] + self.item(shown)[:, :, None])
        return torch.softmax(self.weight(hidden).squeeze(-1), dim=-1) @ slots

    def penalty(self, state: Tensor) -> Tensor:
        """Squared covariances over the numbers of two slots, the mean over users."""
        slots = self._slots(state)
        centred = slots - slots.mean(dim=-1, keepdim=True)
        covariance = centred @ centred.transpose(1, 2) / slots.shape[-1]
        apart = 1 - torch.eye(_LAYERS)
        return _COVARIANCE * (covariance * apart).square().sum(dim=(1, 2)).mean() / 2

    def _slots(self, state: Tensor) -> Tensor:
        return state[:, :-1].reshape(len(state), _LAYERS, -1)


def hpmn(vectors: MakeVectors) -> MemoryRanker:
    """HPMN on items by any vectors."""
    return MemoryRanker(vectors, PeriodicMemoryCell)
