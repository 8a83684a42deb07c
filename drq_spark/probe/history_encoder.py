"""What a user wants at every step, from the items up to it: a causal transformer over vectors of items.

Rows begin with their first item and are filled up behind, so that attention to earlier steps alone never meets a place
that is filled up, and needs no mask.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from drq_spark.arrays import I32
from drq_spark.probe.behaviour_data import NO_ITEM

DROPOUT = 0.2
_LAYERS = 2
_HEADS = 2
_START = 0.02  # standard deviation of what is learned for the places


def first_in_front(history: I32) -> I32:
    """Histories with `NO_ITEM` behind the items instead of in front of them, int32 [q, H].

    >>> first_in_front(np.array([[-1, -1, 4], [-1, 2, 3]])).tolist()
    [[4, -1, -1], [2, 3, -1]]
    """
    order = np.argsort(history == NO_ITEM, axis=1, kind="stable")
    return np.take_along_axis(history, order, axis=1)


def last_of(states: Tensor, items: Tensor) -> Tensor:
    """State after the last item of each row: [q, t, ..], int64 [q, t] with `NO_ITEM` behind it -> [q, ..].

    A row without items has the state of the item 0, for it has to have one.
    """
    return states[torch.arange(len(items)), (items != NO_ITEM).sum(dim=1).clamp(min=1) - 1]


class HistoryEncoder(nn.Module):
    """Two pre-norm layers of causal attention over at most `length` steps of `width` numbers.

    Source: Kang and McAuley 2018, Self-Attentive Sequential Recommendation, with the norm in front of each part, as
    Xiong et al. 2020 have it, for it trains without a long warm-up.
    """

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.length = length
        self.places = nn.Parameter(_START * torch.randn(length, width))
        self.layers = nn.ModuleList(_Layer(width) for _ in range(_LAYERS))
        self.norm = nn.LayerNorm(width)

    def forward(self, vectors: Tensor) -> Tensor:
        """State after each step: [b, t, width] -> [b, t, width]."""
        states = functional.dropout(vectors + self.places[: vectors.shape[1]], DROPOUT, self.training)
        for layer in self.layers:
            states = layer(states)
        return torch.as_tensor(self.norm(states))


class _Layer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention_norm, self.network_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asked = nn.Linear(width, 3 * width)
        self.answered = nn.Linear(width, width)
        self.network = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, states: Tensor) -> Tensor:
        states = states + functional.dropout(self._attended(self.attention_norm(states)), DROPOUT, self.training)
        return states + functional.dropout(self.network(self.network_norm(states)), DROPOUT, self.training)

    def _attended(self, states: Tensor) -> Tensor:
        rows, steps, width = states.shape
        query, key, value = self.asked(states).view(rows, steps, 3, _HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return torch.as_tensor(self.answered(mixed.transpose(1, 2).reshape(rows, steps, width)))
