"""Mini-batch descent: random batches without end, and steps under a one-cycle learning rate."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.optim import Optimizer

from drq_spark.errors import TrainingFailed

_WARM_UP = 0.1  # share of the steps
_SHORTEST_CYCLE = 11  # steps; torch divides by zero where the warm-up is one step. Shorter trainings end on the way


def random_batches(rows: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Batches int64 [size] of row numbers below `rows` >= size: pass after pass, each in a new random order.

    What is left at the end of a pass is not used in it, so all batches have the same size.
    """
    while True:
        yield from torch.randperm(rows, generator=generator)[: rows // size * size].view(-1, size)


class Descent:
    """An optimizer with a one-cycle learning rate (Smith and Topin 2018) over a number of steps.

    Args:
        optimizer: Optimizer of all parameters, with one learning rate, the peak.
        steps: Number of steps that will be done, 1 or more.
        remedy: What to do about a loss that is not finite, the end of a message.
    """

    def __init__(self, optimizer: Optimizer, steps: int, remedy: str) -> None:
        self.optimizer, self.remedy = optimizer, remedy
        peak = optimizer.param_groups[0]["lr"]
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, peak, total_steps=max(_SHORTEST_CYCLE, steps), pct_start=_WARM_UP
        )

    def step(self, loss: Tensor) -> float:
        """Follow the gradient of a scalar loss; returns its value.

        Raises:
            TrainingFailed: it is not finite.
        """
        value = loss.item()
        if not torch.isfinite(loss):
            raise TrainingFailed(f"the loss is {value}: {self.remedy}")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        return value
