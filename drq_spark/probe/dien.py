"""DIEN: interests are drawn from the history by a GRU and evolve towards the item shown (Zhou et al. 2019, AAAI).

Extraction: a GRU over the history, whose state s_t is taught to tell the next item from another user's one by the
auxiliary loss. Evolution: a second GRU over these states whose update gate is scaled by the attention a_t of the shown
item (AUGRU),

    u_t = a_t sigmoid(W_u s_t + U_u h),  r_t = sigmoid(W_r s_t + U_r h)
    c_t = tanh(W_c s_t + U_c (r_t * h)),  h' = (1 - u_t) h + u_t c_t

so that a state that does not bear on the item leaves the interest as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from drq_spark.probe.behaviour_data import Candidates
from drq_spark.probe.din import AttentionUnit, ages
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.ranker import Interest, InterestNetwork, MakeVectors, NetworkRanker, Scored

_AUXILIARY = 0.5  # weight of the auxiliary loss


class AttentionalGru(nn.Module):
    """AUGRU, for all shown items at once."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input = nn.Linear(width, 3 * width)
        self.gates = nn.Linear(width, 2 * width, bias=False)
        self.candidate = nn.Linear(width, width, bias=False)

    def forward(self, states: Tensor, attention: Tensor) -> Tensor:
        """States [b, H, w] and attention [b, C, H] -> the last interest [b, C, w], from zero."""
        batch, shown, steps = attention.shape
        hidden = states.new_zeros(batch, shown, states.shape[2])
        inputs = self.input(states)  # once for all shown items
        for step in range(steps):
            update, reset, candidate = inputs[:, None, step].chunk(3, dim=-1)
            from_update, from_reset = self.gates(hidden).chunk(2, dim=-1)
            changed = torch.tanh(candidate + self.candidate(torch.sigmoid(reset + from_reset) * hidden))
            share = attention[:, :, step, None] * torch.sigmoid(update + from_update)
            hidden = torch.lerp(hidden, changed, share)
        return hidden


class InterestEvolution(Interest):
    """Extraction with its auxiliary loss, attention that sums to 1, and evolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.extraction = nn.GRU(width, width, batch_first=True)
        self.unit = AttentionUnit(width)
        self.evolution = AttentionalGru(width)
        self.next = nn.Linear(width, width, bias=False)

    def forward(self, seen: Tensor, known: Tensor, shown: Tensor) -> Scored:
        """As `Interest`; histories are moved to the front first, so that padding changes no state."""
        if not seen.shape[1]:
            return Scored(torch.zeros_like(shown), seen.new_zeros(()))
        seen, known, age = _to_the_front(seen, known)
        states, _ = self.extraction(seen)
        weights = self.unit(states, shown, age).masked_fill(~known[:, None], -torch.inf)
        attention = torch.softmax(weights, dim=-1).nan_to_num()  # nan where a history is empty
        return Scored(self.evolution(states, attention), _AUXILIARY * self._auxiliary(seen, known, states))

    def _auxiliary(self, seen: Tensor, known: Tensor, states: Tensor) -> Tensor:
        """Log loss of telling the next item of a history from the one that the next history of the batch has there."""
        if not self.training:
            return seen.new_zeros(())
        foreseen = self.next(states[:, :-1])
        came, other = seen[:, 1:], seen[:, 1:].roll(1, dims=0)
        right = functional.softplus(-(foreseen * came).sum(dim=-1))
        wrong = functional.softplus((foreseen * other).sum(dim=-1))
        both = known[:, 1:] & known[:, 1:].roll(1, dims=0)
        return ((right + wrong) * both).sum() / (2 * both.sum().clamp(min=1))


def _to_the_front(seen: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Histories with what is no item behind them instead of before, and the ages of their items."""
    steps = known.shape[1]
    place = (torch.arange(steps) - known.sum(dim=1, keepdim=True)) % steps
    moved = seen.gather(1, place[:, :, None].expand_as(seen))
    return moved, known.gather(1, place), ages(known).gather(1, place)


def dien(vectors: MakeVectors) -> NetworkRanker:
    """DIEN on items by any vectors."""

    def build(candidates: Candidates, effort: Effort) -> InterestNetwork:
        width = effort.width // 2
        return InterestNetwork(vectors(candidates, width), InterestEvolution(width), effort.width)

    return NetworkRanker(build)
