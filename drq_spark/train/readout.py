"""Decode tables that also say what goes together: the codes stay, what they are read out as is learned.

Tables solved for fidelity alone spend nothing on behaviour, although the codes know of it. Here all rows go down
the gradient of

    (||x - x_hat||^2 + ridge) / variance of x + weight * InfoNCE(x_hat) + weight' * InfoNCE(e)

with x_hat the content part of the sum of a SID's rows and e the whole sum, the SID's embedding. The gradient of the
last term reaches only the behaviour part of the rows, which no reconstruction sees: it is free. The second costs
fidelity, and `chosen_weight` finds the weight at which the error of unseen items has risen by what is allowed.
InfoNCE is that of `drq_spark.train.contrastive`, on the training pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from drq_spark.arrays import F32, I32
from drq_spark.blocks import row_blocks
from drq_spark.config import Config
from drq_spark.progress import SILENT, Progress
from drq_spark.tokenizer import Tokenizer
from drq_spark.train.contrastive import PAIRS_STREAM, PairLoss
from drq_spark.train.decode_tables import level_ridges
from drq_spark.train.descent import Descent, random_batches
from drq_spark.train.evaluation import decoding_error, encoded
from drq_spark.train.runtime import choose_device, random_stream

_FIRST_WEIGHT = 0.016  # of InfoNCE(x_hat) that is tried
_MOST_WEIGHT = 0.032
_TRIES = 4  # weights, at most
_NEAR_ENOUGH = 0.1  # of what the error may rise by: a tenth of a per cent or less, below the noise of a fit
_FREE_WEIGHT = 0.1  # of InfoNCE(e): a share of the learning rate, it competes with nothing
_STEPS = 200
_PAIRS = 512  # a step; twice as many take four times as long and gain nothing
_TOLD_EVERY = 20
_JUDGED_ROWS = 100_000  # that measure the ridges
_BATCH = 1024  # items a step
_LEARNING_RATE = 2e-3  # of coordinates in units of the RMS norm of x about its mean


@dataclass(frozen=True)
class Readout:
    """What the tables are learned from.

    Attributes:
        tokenizer: A tokenizer with tables solved by least squares.
        x: float32 [n, D], prepared rows that were fitted.
        codes: int32 [n, L], their SIDs.
        pair_codes: int32 [m, L], SIDs of the items of the pairs.
        pairs: int64 [p, 2], rows of these.
    """

    tokenizer: Tokenizer
    x: F32
    codes: I32
    pair_codes: I32
    pairs: NDArray[np.int64]

    def learned(self, weight: float, config: Config, progress: Progress = SILENT.progress) -> Tokenizer:
        """The tokenizer with tables learned under a weight of InfoNCE(x_hat); `progress` is told of the steps.

        Raises:
            TrainingFailed: the loss is not finite.
        """
        run = _Run(self, weight, config)
        for done in range(run.steps):
            run.step()
            if (done + 1) % _TOLD_EVERY == 0 or done + 1 == run.steps:
                progress("decode tables", done + 1, run.steps)
        tables, solved = run.tables(), self.tokenizer.tables or ()
        for level, (table, kept) in enumerate(zip(tables, solved, strict=True)):
            unused = np.bincount(self.codes[:, level], minlength=len(table)) == 0
            table[unused] = kept[unused]  # nothing but the pull towards 0 has moved them
            if weight == 0:  # least squares stays the best for fidelity, and descent only comes near it
                table[:, : self.tokenizer.dim] = kept[:, : self.tokenizer.dim]
        return replace(self.tokenizer, tables=tables)


def chosen_weight(part: Readout, unseen: F32, slack: float, config: Config) -> tuple[float, dict[str, list[float]]]:
    """The weight at which the error of unseen items reaches 1 + slack times that of weight 0, or the largest.

    Every descent takes the same batches, so the error rises smoothly with the weight: the next one to try is where the
    line between the nearest cheaper and the nearest dearer one says.

    Args:
        part: Items that were fitted.
        unseen: float32 [m, D], prepared rows that were not.
        slack: Above 0.

    Returns:
        The weight, and how it was found (plain JSON).
    """
    mean, codes = part.x.mean(axis=0, dtype=np.float64), encoded(part.tokenizer, unseen)
    tried, weight = {0.0: decoding_error(part.tokenizer, unseen, codes, mean)}, _FIRST_WEIGHT
    allowed = slack * tried[0.0]
    for _ in range(_TRIES):
        tried[weight] = decoding_error(part.learned(weight, config), unseen, codes, mean)
        rises = {known: error - tried[0.0] for known, error in tried.items()}
        short = allowed - rises[weight]
        if abs(short) <= _NEAR_ENOUGH * allowed or (weight == _MOST_WEIGHT and short > 0):
            break
        weight = _next_weight(rises, allowed)
    weights = sorted(tried)
    return weight, {"weights": weights, "unseen_relative_mse": [tried[known] for known in weights]}


def _next_weight(rises: Mapping[float, float], allowed: float) -> float:
    """The weight to try next: rises of the error by weight, 0 at 0, and what is allowed, not below 0."""
    below = max(weight for weight, rise in rises.items() if rise <= allowed)
    dearer = [weight for weight, rise in rises.items() if rise > allowed and weight > below]
    if not dearer:
        return min(_MOST_WEIGHT, below * allowed / rises[below]) if rises[below] > 0 else _MOST_WEIGHT
    above = min(dearer)
    return below + (above - below) * (allowed - rises[below]) / (rises[above] - rises[below])


class _Run:
    """Tables, optimizer and random numbers of one descent."""

    def __init__(self, readout: Readout, weight: float, config: Config) -> None:
        self.weight, self.device = weight, choose_device(config)
        tokenizer, self.content = readout.tokenizer, readout.tokenizer.dim
        first, rows = readout.codes[:1], len(readout.x)
        shift = (tokenizer.decode(first) - tokenizer.decode_latent(first)[:, : self.content])[0].astype(np.float32)
        square = sum(float(np.square(readout.x[block] - shift).sum()) for block in row_blocks(*readout.x.shape)) / rows
        self.unit = square**0.5 or 1.0
        some = slice(0, _JUDGED_ROWS)
        books = [book[:, : self.content] for book in tokenizer.codebooks]
        self.ridges = [ridge / rows for ridge in level_ridges(readout.x[some] - shift, readout.codes[some], books)]
        self.parameters = [self._on_device(table / self.unit) for table in tokenizer.tables or ()]
        self.shift = self._on_device(shift / self.unit)
        self.rows, self.codes = torch.from_numpy(readout.x), torch.from_numpy(readout.codes)
        settings = config.train.behaviour.model_copy(update={"steps": _STEPS, "batch_size": _PAIRS})
        draw = random_stream(config.seed, PAIRS_STREAM, 1)
        self.pairs = PairLoss(readout.pair_codes, readout.pairs, settings, draw, self.device)
        self.steps = self.pairs.steps
        self.batches = random_batches(len(self.rows), min(_BATCH, len(self.rows)), draw)
        trained = [parameter.requires_grad_() for parameter in self.parameters]
        self.descent = Descent(
            torch.optim.Adam(trained, lr=_LEARNING_RATE, fused=True), self.steps, "lower train.drq.fidelity_slack"
        )

    def step(self) -> None:
        """Descend on the next batch of items and the next of pairs."""
        chosen = next(self.batches)
        decoded = self._sum(self.codes[chosen])[:, : self.content] + self.shift
        error = (self.rows[chosen].to(self.device) / self.unit - decoded).square().sum()
        pull = sum(r * t[:, : self.content].square().sum() for r, t in zip(self.ridges, self.parameters, strict=True))
        batch = self.pairs.next()
        whole = self._sum(batch.rows)
        content, behaviour = whole[:, : self.content], whole[:, self.content :]
        near = batch.loss(content + self.shift)
        free = batch.loss(torch.cat([content.detach(), behaviour], dim=1))
        self.descent.step(error / len(chosen) + pull + self.weight * near + _FREE_WEIGHT * free)

    def tables(self) -> tuple[F32, ...]:
        """The tables as the tokenizer holds them."""
        return tuple((table.detach().double() * self.unit).float().cpu().numpy() for table in self.parameters)

    def _on_device(self, array: NDArray[np.floating]) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(self.device)

    def _sum(self, codes: Tensor) -> Tensor:
        """Sum of the rows of SIDs [n, L]: [n, d]."""
        levels = codes.to(self.device).long().T
        rows = [functional.embedding(code, table) for code, table in zip(levels, self.parameters, strict=True)]
        return reduce(torch.add, rows)
