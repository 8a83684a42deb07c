"""What a decoder is told at every token beside the state of the user: which task it has, and what came last."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from drq_spark.arrays import I32
from drq_spark.probe.behaviour_data import NO_ITEM

_TASKS = 8
_SUMMARIES = 4096
_SUMMED_ITEMS = 3
_HASH_SEED = 2604
_START = 0.02  # standard deviation of the vectors


class DecodingContext(nn.Module):
    """A vector that is added before every token: Conditional Decoding Context of UniRec (Wang et al. 2026, abstract).

    Events of one kind are one task; what differs from one question to another is how much is known of the user. So the
    task is the number of known items, in octaves. The summary is a hash of the first codes of the last three items, in
    any order, one of 4,096.

    Args:
        first_codes: int32 [n], code of each item at the first level.
        width: Numbers in the vector.
        task, summary: Whether it has each part; it is zero with none.
    """

    marks: Tensor

    def __init__(self, first_codes: I32, width: int, task: bool, summary: bool) -> None:
        super().__init__()
        self.width = width
        self.tasks = nn.Embedding(_TASKS, width) if task else None
        self.summaries = nn.Embedding(_SUMMARIES, width) if summary else None
        for table in (self.tasks, self.summaries):
            if table is not None:
                nn.init.normal_(table.weight, std=_START)
        marks = np.random.default_rng(_HASH_SEED).integers(0, _SUMMARIES, int(first_codes.max(initial=0)) + 1)
        self.register_buffer("marks", torch.from_numpy(np.append(marks[first_codes], 0)))

    def forward(self, items: Tensor) -> Tensor:
        """The vector at each step of sequences that begin at the left: int64 [b, t] -> [b, t, width]."""
        context = torch.zeros(*items.shape, self.width)
        if self.tasks is not None:
            known = torch.arange(1, items.shape[1] + 1)
            octave = torch.floor(torch.log2(known.float())).long().clamp(max=_TASKS - 1)
            context = context + self.tasks(octave)
        if self.summaries is not None:
            context = context + self.summaries(self._hash(items))
        return context

    def _hash(self, items: Tensor) -> Tensor:
        """Sum of a mark for each of the last items, which no order changes, int64 [b, t]."""
        marks = self.marks[torch.where(items == NO_ITEM, len(self.marks) - 1, items)]
        total = marks.clone()
        for since in range(1, _SUMMED_ITEMS):
            total[:, since:] += marks[:, :-since]
        return total % _SUMMARIES
