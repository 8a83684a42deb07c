"""Descent of a ranker's loss, pass after pass, until the validation part gets worse; the best pass is kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from drq_spark.probe.behaviour_data import Questions
from drq_spark.probe.model_contract import Effort, FittedRanker
from drq_spark.progress import Progress
from drq_spark.train.descent import Descent
from drq_spark.train.runtime import random_stream

_PATIENCE = 2  # passes that may be worse than the best before training ends
_JUDGED = 4096  # questions of the validation part; more do not change which pass is best
_TOLD_EVERY = 50  # steps
_STREAM = 0x52414E4B

B = TypeVar("B")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Weights and dropout of everything made inside come from the seed; the global random numbers are as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_stream(seed, _STREAM).initial_seed())
        yield


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
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=effort.learning_rate)
    descent = Descent(optimizer, steps * effort.epochs, "lower the learning rate of the probe")
    best, best_weights, worse, done = float("inf"), network.state_dict(), 0, 0
    for _ in range(effort.epochs):
        network.train()
        for batch in batches():
            value = descent.step(loss(batch))
            done += 1
            if done % _TOLD_EVERY == 0:
                progress("ranker", done, steps * effort.epochs, loss=value)
        found = _log_loss(judged, validation)
        if found < best or not len(validation):
            best, best_weights, worse = found, copy.deepcopy(network.state_dict()), 0
        else:
            worse += 1
        if worse == _PATIENCE:
            break
    network.load_state_dict(best_weights)
    network.eval()
    progress("ranker", steps * effort.epochs, steps * effort.epochs, validation=best)


def _log_loss(ranker: FittedRanker, questions: Questions) -> float:
    """Balanced log loss of the first questions; nan where there are none."""
    shown = np.concatenate([questions.target[:_JUDGED, None], questions.others[:_JUDGED]], axis=1)
    scores = torch.from_numpy(ranker.scores(questions.history[:_JUDGED], shown))
    return float(balanced_loss(scores.double()).mean())
