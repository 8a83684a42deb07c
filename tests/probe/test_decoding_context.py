"""What a decoder is told beside the state of the user."""

from __future__ import annotations

import numpy as np
import torch

from drq_spark.probe.decoding_context import DecodingContext

FIRST_CODES = np.array([0, 0, 1, 2, 3], np.int32)


def context(items: list[list[int]], task: bool, summary: bool) -> torch.Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DecodingContext(FIRST_CODES, 4, task, summary)(torch.tensor(items)).detach()


def test_without_parts_it_is_zero():
    assert not context([[1, 2, 3]], False, False).any()


def test_tasks_are_octaves_of_known_items():
    steps = context([[0, 1, 2, 3, 4, 0, 1, 2]], True, False)[0]
    assert [torch.equal(step, steps[1]) for step in steps] == [False, True, True, False, False, False, False, False]
    assert torch.equal(steps[3], steps[6])
    assert not torch.equal(steps[6], steps[7])


def test_summaries_are_of_the_first_codes_of_the_last_three_in_any_order():
    one, other, different = context([[4, 2, 3, 0], [2, 1, 2, 3], [2, 1, 2, 4]], False, True)
    assert torch.equal(one[3], other[3])  # codes 1, 2, 0 and 0, 1, 2; what came before is forgotten
    assert not torch.equal(one[3], different[3])
    assert torch.equal(context([[2, 3, -1]], False, True)[0, 1], context([[3, 2, 4]], False, True)[0, 1])
