"""Tokens one after another, from what is known of a user: a small recurrent decoder over the levels of a path."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_START = 0.05  # standard deviation of the vectors of tokens


class TokenDecoder(nn.Module):
    """What each token of a level is worth, given the tokens before it and a state.

    TIGER (Rajput et al. 2023) decodes with a transformer that attends to all tokens of the history. Here the history is
    one state, and the decoder one cell for each level, so that every step of a sequence is trained at once in seconds.

    Attributes:
        sizes: Tokens of each level.
        tokens: Vectors of the tokens of each level, for the decoder and for the items of a history alike.
    """

    def __init__(self, sizes: Sequence[int], width: int) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        tables = [nn.Embedding(size, width) for size in sizes]
        for table in tables:
            nn.init.normal_(table.weight, std=_START)
        self.tokens = nn.ModuleList(tables)
        self.cells = nn.ModuleList(_Cell(width) for _ in sizes[1:])
        self.heads = nn.ModuleList(nn.Sequential(nn.LayerNorm(width), nn.Linear(width, size)) for size in sizes)

    def vectors(self, tokens: Tensor) -> Tensor:
        """Sum of the vectors of the tokens of a path: int64 [.., T] -> [.., width]."""
        parts = [table(tokens[..., level]) for level, table in enumerate(self.tokens)]
        return torch.stack(parts).sum(dim=0)

    def worth(self, level: int, state: Tensor) -> Tensor:
        """ln p of each token of a level, but for a number of each row: [.., width] -> [.., K]."""
        return torch.as_tensor(self.heads[level](state))

    def after(self, level: int, state: Tensor, token: Tensor, context: Tensor) -> Tensor:
        """The state after a token of a level: [.., width], int64 [..], [.., width] -> [.., width]."""
        return torch.as_tensor(self.cells[level](state, self.tokens[level](token), context))


class _Cell(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.network = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, state: Tensor, token: Tensor, context: Tensor) -> Tensor:
        change: Tensor = self.network(torch.cat([self.norm(state + context), token], dim=-1))
        return state + change
