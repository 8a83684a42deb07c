"""Rows whose float32 arithmetic is exact."""

from __future__ import annotations

import torch
from torch import Tensor


def whole_numbers(rows: int, dim: int, seed: int = 0, high: int = 4) -> Tensor:
    """Small integers: float32 scores and sums of them are exact, so ties are true ties."""
    return torch.randint(-high, high + 1, (rows, dim), generator=torch.Generator().manual_seed(seed)).float()
