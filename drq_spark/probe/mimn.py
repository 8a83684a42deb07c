"""MIMN: a memory of slots that events are written to by address, and a line of interest behind each slot.

A state is the memory M [m, w], the lines of interest S [m, w], the controller h [w] and the use of each slot g [m].
With event e and addresses a(k)_i = softmax_i(b cos(k, M_i)):

    h' = GRU([e, a(K h) M], h)                                             controller, with what it reads
    v = a(K' h'), v~ = v * softmax(G g / sum g), scaled to sum to 1        address of writing, turned to less used slots
    M' = M * (1 - v~ x sigmoid(E h')) + v~ x tanh(A h'),  g' = g + v~      erase and add
    S'_i = GRU([e, M'_i], S_i) where v_i is among the k largest            induction unit

and the penalty is the squared distance of the share of use of each slot from 1 / m. Source: Pi et al. 2019 (KDD, arXiv
1905.09248). The use is divided by its sum, which the paper does not do, so that a long life does not drown G.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from drq_spark.probe.ranker import MakeVectors
from drq_spark.probe.user_memory import MemoryCell, MemoryRanker

_SLOTS = 4
_INDUCED = 2  # lines of interest that an event moves
_SHARPNESS = 5.0  # b
_UTILISATION = 0.1  # weight of the penalty


class MemoryInductionCell(MemoryCell):
    """Memory, induction unit and use of slots."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.parts = [_SLOTS * width, _SLOTS * width, width, _SLOTS]
        self.size = sum(self.parts)
        self.controller = nn.GRUCell(2 * width, width)
        self.induction = nn.GRUCell(2 * width, width)
        self.read_key, self.write_key, self.shown_key = (nn.Linear(width, width) for _ in range(3))
        self.erase, self.add = nn.Linear(width, width), nn.Linear(width, width)
        self.turn = nn.Linear(_SLOTS, _SLOTS, bias=False)
        # Addresses of an empty memory would all be alike; each slot has a name of its own that is added to it.
        self.names = nn.Parameter(torch.randn(_SLOTS, width) / width**0.5)
        self.out = nn.Linear(2 * width, width)

    def step(self, state: Tensor, event: Tensor) -> Tensor:
        """As `MemoryCell`."""
        memory, lines, controller, use = self._parts(state)
        read = self._address(self.read_key(controller)[:, None], memory) @ memory
        controller = self.controller(torch.cat([event, read[:, 0]], dim=1), controller)
        written = self._address(self.write_key(controller)[:, None], memory)[:, 0]
        turned = written * torch.softmax(self.turn(_shares(use)), dim=1)
        turned = turned / turned.sum(dim=1, keepdim=True)
        erased = turned[:, :, None] * torch.sigmoid(self.erase(controller))[:, None]
        memory = memory * (1 - erased) + turned[:, :, None] * torch.tanh(self.add(controller))[:, None]
        lines = self._induced(lines, memory, event, written)
        return torch.cat([memory.flatten(1), lines.flatten(1), controller, use + turned], dim=1)

    def read(self, state: Tensor, shown: Tensor) -> Tensor:
        """As `MemoryCell`: the shown item addresses the memory, and the lines behind it are read with it."""
        memory, lines, _, _ = self._parts(state)
        address = self._address(self.shown_key(shown), memory)
        interest: Tensor = self.out(torch.cat([address @ memory, address @ lines], dim=-1))
        return interest

    def penalty(self, state: Tensor) -> Tensor:
        """Utilisation regularisation, the mean over users."""
        *_, use = self._parts(state)
        return _UTILISATION * (_shares(use) - 1 / _SLOTS).square().sum(dim=1).mean()

    def _parts(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        memory, lines, controller, use = torch.split(state, self.parts, dim=1)
        slots = (len(state), _SLOTS, self.width)
        return memory.reshape(slots), lines.reshape(slots), controller, use

    def _address(self, keys: Tensor, memory: Tensor) -> Tensor:
        """Keys [q, C, w], memory [q, m, w] -> weights [q, C, m]."""
        named = functional.normalize(memory + self.names, dim=-1)
        cosines = functional.normalize(keys, dim=-1) @ named.transpose(1, 2)
        return torch.softmax(_SHARPNESS * cosines, dim=-1)

    def _induced(self, lines: Tensor, memory: Tensor, event: Tensor, written: Tensor) -> Tensor:
        """The lines after an event: those of the slots with the largest addresses move."""
        inputs = torch.cat([event[:, None].expand_as(memory), memory], dim=-1)
        moved = self.induction(inputs.flatten(0, 1), lines.flatten(0, 1)).view_as(lines)
        chosen = torch.zeros_like(written).scatter(1, written.topk(_INDUCED, dim=1).indices, 1.0)
        return torch.where(chosen[:, :, None] > 0, moved, lines)


def _shares(use: Tensor) -> Tensor:
    """Use in parts of its sum, an even share where nothing was used yet."""
    total = use.sum(dim=1, keepdim=True)
    return torch.where(total > 0, use / total.clamp(min=1e-6), torch.full_like(use, 1 / _SLOTS))


def mimn(vectors: MakeVectors) -> MemoryRanker:
    """MIMN on items by any vectors."""
    return MemoryRanker(vectors, MemoryInductionCell)
