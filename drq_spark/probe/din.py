"""DIN: each item of the history counts as much as it bears on the item shown (Zhou et al. 2018, arXiv 1706.06978).

    interest = sum_s a_s h_s,   a_s = exp(w_s) / (1 + sum_r exp(w_r))
    w_s = v silu(A h_s + B t + (P h_s) * (Q t) + r_s)

Weights may sum to less than 1, so that much interest is more than little; the paper's bare w_s, which say the same,
were found to learn their training part by heart much sooner. Two factors stand in place of its P (h_s * t), which costs
a product of matrices for each pair; r_s, which it does not have, says how long ago an item came.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from drq_spark.probe.behaviour_data import Candidates
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.ranker import Interest, InterestNetwork, MakeVectors, NetworkRanker, Scored

_HIDDEN = 32
_AGES = 64  # how long ago is told apart up to so many items


class AttentionUnit(nn.Module):
    """Weights of the history for each shown item.

    Args:
        width: Of the vectors of items.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seen = nn.Linear(width, _HIDDEN)
        self.shown = nn.Linear(width, _HIDDEN, bias=False)
        self.seen_factor = nn.Linear(width, _HIDDEN, bias=False)
        self.shown_factor = nn.Linear(width, _HIDDEN, bias=False)
        self.age = nn.Embedding(_AGES, _HIDDEN)
        self.out = nn.Linear(_HIDDEN, 1, bias=False)
        nn.init.zeros_(self.age.weight)

    def forward(self, seen: Tensor, shown: Tensor, age: Tensor) -> Tensor:
        """Vectors [b, H, w] and [b, C, w], ages int64 [b, H] -> raw weights [b, C, H]."""
        alone: Tensor = (self.seen(seen) + self.age(age.clamp(0, _AGES - 1)))[:, None]
        crossed = self.seen_factor(seen)[:, None] * self.shown_factor(shown)[:, :, None]
        hidden = functional.silu(alone + self.shown(shown)[:, :, None] + crossed)
        weights: Tensor = self.out(hidden).squeeze(-1)
        return weights


class TargetAttention(Interest):
    """The weighted sum of the history."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.unit = AttentionUnit(width)

    def forward(self, seen: Tensor, known: Tensor, shown: Tensor) -> Scored:
        """As `Interest`."""
        weights = self.unit(seen, shown, ages(known)).masked_fill(~known[:, None], -torch.inf)
        weights = functional.pad(weights, (1, 0))  # the 1 that is no item
        return Scored(torch.softmax(weights, dim=-1)[..., 1:] @ seen, torch.zeros(()))


def ages(known: Tensor) -> Tensor:
    """How many items came later, int64 [b, H], for each place of a history."""
    return known.flip(1).cumsum(dim=1).flip(1) - 1


def din(vectors: MakeVectors) -> NetworkRanker:
    """DIN on items by any vectors."""

    def build(candidates: Candidates, effort: Effort) -> InterestNetwork:
        width = effort.width // 2
        return InterestNetwork(vectors(candidates, width), TargetAttention(width), effort.width)

    return NetworkRanker(build)
