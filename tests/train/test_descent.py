"""Batches and learning rates of the trainings."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from drq_spark.errors import TrainingFailed
from drq_spark.train.descent import Descent, random_batches
from drq_spark.train.runtime import random_stream


def descent_of(steps: int) -> tuple[torch.Tensor, Descent]:
    """Plain gradient descent on one number that starts at 1."""
    value = torch.ones((), requires_grad=True)
    return value, Descent(torch.optim.SGD([value], lr=0.5, momentum=0.9), steps, "lower it")


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11, 20, 200])
def test_any_number_of_steps(steps: int) -> None:
    value, descent = descent_of(steps)
    losses = [descent.step(value.square()) for _ in range(steps)]
    assert losses[0] == 1
    assert torch.isfinite(value)
    assert abs(value.item()) < 1


def test_learning_rate_rises_for_a_tenth_and_falls_to_nothing() -> None:
    value, descent = descent_of(100)
    rates = []
    for _ in range(100):
        rates.append(descent.schedule.get_last_lr()[0])
        descent.step(value.square())
    assert rates.index(max(rates)) == 9
    assert max(rates) == pytest.approx(0.5)
    assert rates[-1] < 0.001 * max(rates)


def test_a_loss_that_is_not_finite_is_refused() -> None:
    value, descent = descent_of(20)
    with pytest.raises(TrainingFailed, match=r"^the loss is nan: lower it$"):
        descent.step(value * float("nan"))
    assert value.item() == 1


def test_batches_cover_the_rows_pass_after_pass() -> None:
    batches = torch.stack(list(islice(random_batches(7, 3, random_stream(0, 5)), 4)))
    first, second = batches.view(2, 6).tolist()
    assert [len(set(first)), len(set(second))] == [6, 6]
    assert set(first) | set(second) <= set(range(7))
    assert first != second
