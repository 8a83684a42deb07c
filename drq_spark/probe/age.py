"""AGE: which cold items to show, by what a model would think of them after it had been told (Wu et al. 2022, KDD).

Showing an item trains the model on the answer, which is as if the input moved along the gradient. So the score of an
item is that of its vector moved up the gradient g of the logit, by as much as the model is unsure of it:

    score = f(v + w d g / |g|),   d = standard deviation of sigmoid f over vectors with numbers dropped at random

and only for items worth the try: a gate lets through those whose mean probability over users is above that of the
middle item shown. Source: arXiv 2112.11136.

`replay` judges a policy on questions whose answers are known: round by round it shows one of the items of each
question, sees whether it was the one that came, and trains on that and on nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from drq_spark.arrays import I32, I64
from drq_spark.errors import TrainingFailed
from drq_spark.formulas.estimates import user_mean
from drq_spark.probe.behaviour_data import Questions
from drq_spark.probe.downstream_figures import COLD, SEGMENTS, DownstreamFigure
from drq_spark.probe.ranker import FittedNetwork, InterestNetwork

_DROPPED, _DRAWS = 0.2, 4  # share of the numbers of a vector, and how often
_USERS = 4  # histories that say what an item is worth to anybody

Policy = Callable[[InterestNetwork, Tensor, Tensor, torch.Generator], Tensor]
"""Of a network, histories int64 [b, H] and shown items [b, C]: values [b, C], of which the highest is shown."""


@dataclass(frozen=True)
class Replay:
    """What a policy has earned.

    Attributes:
        clicked: bool [q], whether the item shown in each question was the one that came.
        cold: bool [q], whether a cold item was shown.
        fitted: The ranker that the answers have made.
    """

    clicked: NDArray[np.bool_]
    cold: NDArray[np.bool_]
    fitted: FittedNetwork


def greedy(network: InterestNetwork, history: Tensor, shown: Tensor, generator: torch.Generator) -> Tensor:
    """The logits: what is best so far is shown."""
    with torch.no_grad():
        logits: Tensor = network(history, shown).logits
        return logits


def epsilon_greedy(share: float) -> Policy:
    """Greedy, but any of the items in a share of the questions."""

    def policy(network: InterestNetwork, history: Tensor, shown: Tensor, generator: torch.Generator) -> Tensor:
        at_random = torch.rand(len(shown), 1, generator=generator) < share
        return torch.where(
            at_random, torch.rand(shown.shape, generator=generator), greedy(network, history, shown, generator)
        )

    return policy


def adversarial(step: float) -> Policy:
    """AGE, with w the step in parts of the length of a vector of one item."""

    def policy(network: InterestNetwork, history: Tensor, shown: Tensor, generator: torch.Generator) -> Tensor:
        with torch.no_grad():
            seen, items = network.vectors(history), network.vectors(shown)
            kept = torch.rand((_DRAWS, *items.shape), generator=generator) >= _DROPPED
            dropped = [network.at(seen, history, items * keep / (1 - _DROPPED)) for keep in kept]
            unsure = torch.sigmoid(torch.stack(dropped)).std(dim=0)
        direction = functional.normalize(_gradient(network, seen, history, items), dim=-1)
        with torch.no_grad():
            gate = _worth(network, history, items)
            moved = items + (step * unsure * gate)[..., None] * direction
            return network.at(seen, history, moved)

    return policy


def replay(
    fitted: FittedNetwork,
    stream: Questions,
    cold: NDArray[np.bool_],
    policy: Policy,
    rounds: int,
    seed: int,
    rate: float,
) -> Replay:
    """Let a policy choose what is shown, and a ranker learn from the answers.

    Args:
        fitted: The ranker at the start, by an `InterestNetwork` without crosses; stays as it is.
        stream: Questions in the order in which they are asked. Beside each target stand targets of others of them, as
            many as it has others: so a cold item is there as often when it comes as when it does not.
        cold: bool [n], which items nothing is known of at the start.
        policy: What is shown.
        rounds: Updates of the ranker.
        seed: Of the items beside the targets and of the policy.
        rate: Adam's learning rate.

    Raises:
        TrainingFailed: the loss is not finite.
    """
    network = copy.deepcopy(fitted.network)
    assert isinstance(network, InterestNetwork)  # else there is no vector to move
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    generator = torch.Generator().manual_seed(seed)
    shown = torch.from_numpy(pools(stream, seed).astype(np.int64))
    history = torch.from_numpy(stream.history.astype(np.int64))
    picked = torch.zeros(len(shown), dtype=torch.int64)
    for part in torch.arange(len(shown)).tensor_split(rounds):
        picked[part] = policy(network, history[part], shown[part], generator).argmax(dim=1)
        chosen = shown[part].gather(1, picked[part, None])
        scored = network(history[part], chosen)
        answers = (chosen == torch.from_numpy(stream.target.astype(np.int64))[part, None]).float()
        loss = functional.binary_cross_entropy_with_logits(scored.logits, answers) + scored.penalty
        if not torch.isfinite(loss):
            raise TrainingFailed(f"the loss of a replay is {loss.item()}: lower the learning rate of the probe")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    items = shown.gather(1, picked[:, None])[:, 0].numpy()
    return Replay(items == stream.target, cold[items], FittedNetwork(network))


def pools(stream: Questions, seed: int) -> I32:
    """The items of each question, int32 [q, 1 + C] in random order: its target, and targets of other questions."""
    rng = np.random.default_rng((seed, 0x41474500))
    others = stream.target[rng.integers(0, len(stream), stream.others.shape)]
    return rng.permuted(np.concatenate([stream.target[:, None], others], axis=1), axis=1)


def earned(outcome: Replay, users: I64) -> list[DownstreamFigure]:
    """Clicks a question, and clicks a question that showed a cold item where any did; users int64 [q] of the stream."""
    segments = {SEGMENTS[0]: np.ones(len(users), np.bool_), COLD: outcome.cold}
    return [
        DownstreamFigure(
            "clicks", segment, *user_mean(outcome.clicked[rows].astype(np.float64), users[rows]), int(rows.sum())
        )
        for segment, rows in segments.items()
        if rows.any()
    ]


def _gradient(network: InterestNetwork, seen: Tensor, history: Tensor, items: Tensor) -> Tensor:
    """Of each logit by the vector [b, C, w] of its own item."""
    free = items.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(network.at(seen, history, free).sum(), free)
    return gradient


def _worth(network: InterestNetwork, history: Tensor, items: Tensor) -> Tensor:
    """1 where an item's mean probability over users is above that of the middle one of its question, else 0."""
    users = history[:_USERS]
    everything = items.flatten(0, 1)[None].expand(len(users), -1, -1)
    worth = torch.sigmoid(network.at(network.vectors(users), users, everything)).mean(dim=0).view(items.shape[:2])
    return (worth > worth.median(dim=1, keepdim=True).values).float()
