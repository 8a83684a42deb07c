"""The codes of a beam against a slow search that keeps residuals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from train.exact import whole_numbers

from drq_spark.train import beam_codes as module
from drq_spark.train.beam_codes import Layer, beam_codes


def slow_codes(row: np.ndarray, layers: Sequence[Layer], width: int) -> list[int]:
    """Paths one by one, each with its residual; of equally cheap ones the first."""
    paths = [(0.0, [], row)]
    for level, layer in enumerate(layers):
        weight = 1.0 if layer.weight is None else layer.weight.double().numpy()
        grown = []
        for _, codes, left in paths:
            paid = sum(float(layers[done].price[code]) for done, code in enumerate(codes))
            for code, word in enumerate(layer.codewords.double().numpy()):
                cost = np.square((left - word) * weight).sum() + paid + float(layer.price[code])
                grown.append((cost, [*codes, code], left - word))
        grown.sort(key=lambda path: path[0])
        paths = grown[: 1 if level == len(layers) - 1 else width]
    return paths[0][1]


@pytest.mark.parametrize("width", [1, 2, 4, 50])
@pytest.mark.parametrize("weights", [(None, None, None), ((1, 1, 2), (1, 1, 2), (1, 0, 3)), (None, (1, 1, 0), None)])
@pytest.mark.parametrize("tile", [1, 2**19])
def test_codes_equal_those_of_the_slow_search(
    monkeypatch: pytest.MonkeyPatch, width: int, weights: Sequence[Sequence[int] | None], tile: int
) -> None:
    """Whole numbers and odd prices: nothing is rounded, and no two paths cost the same."""
    monkeypatch.setattr(module, "_TILE_ELEMENTS", tile)
    rows, layers = whole_numbers(40, 3), []
    for level, weight in enumerate(weights):
        price = torch.from_numpy(np.random.default_rng(level).permutation(6) * 7.0**level / 512)
        metric = None if weight is None else torch.tensor(weight, dtype=torch.float32)
        layers.append(Layer(whole_numbers(6, 3, seed=level + 1), price, metric))
    assert beam_codes(rows, layers, width).tolist() == [slow_codes(r, layers, width) for r in rows.double().numpy()]
