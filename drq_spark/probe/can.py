"""CAN: the codes of the item shown give the weights of a tiny network that the codes of the history pass through.

For each level of the SID, with P_c the row of code c of the item shown, cut into two matrices, and e_k that of code k
of an item of the history,

    y1 = tanh(P1_c e_k),  y2 = tanh(P2_c y1),  cross = sum over the history of [y1, y2] / sqrt(items)

so pairs of codes are crossed explicitly with far fewer numbers than a table of pairs has. P and e are apart from the
vectors of items, as the paper finds best. Source: Bian et al. 2022 (arXiv 2011.05625); the rest of the net is DIN.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from drq_spark.probe.behaviour_data import Candidates
from drq_spark.probe.din import TargetAttention
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.ranker import Crosses, InterestNetwork, MakeVectors, NetworkRanker

_INPUT, _MIDDLE, _OUTPUT = 8, 8, 4  # numbers in e, y1 and y2


class CoAction(Crosses):
    """The crosses of all levels, one after another."""

    places: Tensor

    def __init__(self, candidates: Candidates) -> None:
        super().__init__()
        levels, codes = candidates.codes.shape[1], sum(candidates.codebook_sizes)
        self.items, self.levels = len(candidates), levels
        self.width = levels * (_MIDDLE + _OUTPUT)
        offsets = np.cumsum([0, *candidates.codebook_sizes[:-1]])
        places = np.full((self.items + 1, levels), codes, np.int64)
        places[:-1] = candidates.codes + offsets
        self.register_buffer("places", torch.from_numpy(places))
        self.weights = nn.Embedding(codes + 1, (_INPUT + _OUTPUT) * _MIDDLE, padding_idx=codes)
        self.inputs = nn.Embedding(codes + 1, _INPUT, padding_idx=codes)
        nn.init.normal_(self.weights.weight[:-1], std=_INPUT**-0.5)
        nn.init.normal_(self.inputs.weight[:-1], std=0.5)

    def forward(self, history: Tensor, shown: Tensor) -> Tensor:
        """As `Crosses`."""
        inputs = self.inputs(self.places[history % (self.items + 1)])  # [b, H, L, input]
        weights = self.weights(self.places[shown % (self.items + 1)])  # [b, C, L, ...]
        first = weights[..., : _INPUT * _MIDDLE].unflatten(-1, (_MIDDLE, _INPUT))
        second = weights[..., _INPUT * _MIDDLE :].unflatten(-1, (_OUTPUT, _MIDDLE))
        middle = torch.tanh(torch.einsum("bclmi,bhli->bclhm", first, inputs))
        output = torch.tanh(middle @ second.transpose(-1, -2))
        items = (history >= 0).sum(dim=1).clamp(min=1)
        # No item has e = 0, and so y1 = y2 = 0: it adds nothing.
        crosses = torch.cat([middle.sum(dim=-2), output.sum(dim=-2)], dim=-1).flatten(-2)
        return crosses / items[:, None, None] ** 0.5


def can(vectors: MakeVectors) -> NetworkRanker:
    """CAN beside DIN on items by any vectors."""

    def build(candidates: Candidates, effort: Effort) -> InterestNetwork:
        width = effort.width // 2
        return InterestNetwork(
            vectors(candidates, width), TargetAttention(width), effort.width, crosses=CoAction(candidates)
        )

    return NetworkRanker(build)
