"""Descent of a ranker's loss, pass after pass, until the validation part gets worse; the best pass is kept.

Rankers on ids and SIDs know their training part by heart after a few passes. A pass that is worse than the best is
undone and the learning rate lowered; the second one ends the training.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from drq_spark.errors import TrainingFailed
from drq_spark.probe.behaviour_data import Questions
from drq_spark.probe.judged_questions import some_questions
from drq_spark.probe.model_contract import Effort, FittedRanker
from drq_spark.progress import Progress

_WORSE_PASSES = 2  # after which training ends
_LOWERED = 0.2  # learning rate after a worse pass, in parts of that before
_TOLD_EVERY = 50  # steps
STREAM = 0x52414E4B
"""Of random numbers: weights and dropout."""

B = TypeVar("B")


def balanced_loss(logits: Tensor) -> Tensor:
    """Log loss [...] of an item that came, first of [..., 1 + C], and of C that did not: both sides weigh half."""
    return (functional.softplus(-logits[..., 0]) + functional.softplus(logits[..., 1:]).mean(dim=-1)) / 2


def train_until_worse(
    network: nn.Module,
    batches: Callable[[], Iterable[B]],
    loss: Callable[[B], Tensor],
    judged: FittedRanker,
    validation: Questions,
    steps: int,
    effort: Effort,
    progress: Progress,
) -> None:
    """Train a network in place; the fitted ranker of its best pass is then `judged`.

    Args:
        network: What is trained.
        batches: Makes the batches of a pass, `steps` of them.
        loss: Scalar loss of a batch.
        judged: Scores by `network`.
        validation: Questions that say when to stop; with none of them every pass is done.
        effort: Passes at most, learning rate.
        progress: Is told steps and losses.

    Raises:
        TrainingFailed: the loss is not finite.
    """
    optimizer = torch.optim.Adam(
        [p for p in network.parameters() if p.requires_grad], lr=effort.learning_rate, fused=True
    )
    asked = some_questions(validation, effort.seed)
    best, kept, worse, done, total = float("inf"), _state(network, optimizer), 0, 0, steps * effort.epochs
    for _ in range(effort.epochs):
        network.train()
        for batch in batches():
            value = _step(optimizer, loss(batch))
            done += 1
            if done % _TOLD_EVERY == 0:
                progress("ranker", done, total, loss=value)
        found = _log_loss(judged, asked)
        if found < best or not len(validation):
            best, kept = found, _state(network, optimizer)
            continue
        worse += 1
        _restore(network, optimizer, kept, effort.learning_rate * _LOWERED**worse)
        if worse == _WORSE_PASSES:
            break
    network.eval()
    progress("ranker", total, total, validation=best)


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise TrainingFailed(f"the loss is {value}: lower the learning rate of the probe")
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return value


def _state(network: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Any], dict[str, Any]]:
    """Copies of what training has made so far."""
    return copy.deepcopy(network.state_dict()), copy.deepcopy(optimizer.state_dict())


def _restore(
    network: nn.Module, optimizer: torch.optim.Optimizer, kept: tuple[dict[str, Any], dict[str, Any]], rate: float
) -> None:
    """Go back to `_state`, with another learning rate."""
    network.load_state_dict(kept[0])
    optimizer.load_state_dict(copy.deepcopy(kept[1]))
    for group in optimizer.param_groups:
        group["lr"] = rate


def _log_loss(ranker: FittedRanker, questions: Questions) -> float:
    """Balanced log loss; nan where there are no questions."""
    shown = np.concatenate([questions.target[:, None], questions.others], axis=1)
    scores = torch.from_numpy(ranker.scores(questions.history, shown))
    return float(balanced_loss(scores.double()).mean())
