"""Both tasks of DTN are found; the second is not told what came, and tasks weigh fields each in its own way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from probe.planted_rankings import EFFORT, auc, behaviour, candidates, chains

from drq_spark.formulas.estimates import pair_auc
from drq_spark.probe.dtn import (
    CLICK,
    MixtureBottom,
    SharedBottom,
    TaskCrosses,
    TwoTasksNetwork,
    TwoTasksRanker,
    kinds_of,
)
from drq_spark.probe.item_vectors import SidVectors
from drq_spark.progress import SILENT


@pytest.fixture(scope="module")
def planted():
    return behaviour(chains(strides=2))


@pytest.mark.parametrize("bottom", [MixtureBottom, TaskCrosses])
def test_both_tasks_are_found(planted, bottom):
    fitted = TwoTasksRanker(SidVectors, bottom).fit(planted, EFFORT, SILENT.progress)
    kinds = kinds_of(planted.candidates)
    stayed = kinds[planted.test.target] == kinds[planted.test.history[:, -1]]
    scores = fitted.stays(planted.test.history).astype(np.float64)
    assert pair_auc(scores[stayed], scores[~stayed]) > 0.7
    assert auc(fitted, planted.test) > 0.65


@pytest.mark.parametrize("bottom", [SharedBottom, MixtureBottom, TaskCrosses])
def test_the_second_task_is_a_penalty_of_training_alone_and_sees_no_target(planted, bottom):
    torch.manual_seed(0)
    network = TwoTasksNetwork(planted.candidates, SidVectors(planted.candidates, 8), bottom(8, 16), 16)
    history = torch.tensor([[1, 9]])  # 9 is of an odd first code
    odd, even = network(history, torch.tensor([[10, 3]])), network(history, torch.tensor([[3, 10]]))
    logit = network.stay(history)[0]
    assert odd.penalty.item() == pytest.approx(-torch.sigmoid(logit).log().item(), abs=1e-5)
    assert even.penalty.item() == pytest.approx(-torch.sigmoid(-logit).log().item(), abs=1e-5)
    network.eval()
    assert network(history, torch.tensor([[10, 3]])).penalty.item() == 0
    with torch.no_grad():
        network.towers[CLICK].bias += 1.0  # a task has a tower of its own
    assert network.stay(history)[0] == logit
    assert torch.allclose(network(history, torch.tensor([[10, 3]])).logits, odd.logits + 1.0)


def test_crosses_of_a_task_are_those_of_the_formula():
    torch.manual_seed(0)
    bottom, fields = TaskCrosses(2, 4), torch.randn(1, 3, 2)
    f = 2 * torch.sigmoid(bottom.importance[1](fields.flatten(1)))[0][:, None] * fields[0]
    flat = f.flatten()
    products = torch.cat([f[0] * f[1], f[0] * f[2], f[1] * f[2]])
    crossed = flat * (bottom.cross[1].weight @ flat + bottom.cross[1].bias) + flat
    own = torch.nn.functional.silu(bottom.out[1](torch.cat([crossed, products])))
    assert torch.allclose(bottom(fields, 1)[0], own + bottom.mixture(fields, 1)[0], atol=1e-6)
    assert not torch.allclose(bottom(fields, 0), bottom(fields, 1))


def test_without_attributes_the_first_code_is_the_kind():
    items = candidates(np.arange(3))
    assert set(kinds_of(items)) == {1, 2}
    bare = type(items)(**{**items.__dict__, "attributes": items.attributes[:, :0], "attribute_sizes": ()})
    assert kinds_of(bare).tolist() == items.codes[:, 0].tolist()


def test_experts_are_mixed_by_the_gate_of_the_task():
    torch.manual_seed(0)
    bottom, fields = MixtureBottom(2, 5), torch.randn(1, 3, 2)
    experts = torch.nn.functional.silu(bottom.experts(fields.flatten(1)))[0].split(5)
    for task, gate in enumerate(bottom.gates):
        shares = torch.softmax(gate(fields.flatten(1))[0], dim=0)
        mixed = sum(share * expert for share, expert in zip(shares, experts, strict=True))
        assert torch.allclose(bottom(fields, task)[0], mixed, atol=1e-6)
