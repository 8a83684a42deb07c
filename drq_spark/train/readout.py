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

from dataclasses import dataclass, replace
from itertools import pairwise

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

WEIGHTS = (0.0, 0.002, 0.004, 0.008, 0.016, 0.032)  # of InfoNCE(x_hat): each costs about twice what the one before does
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
    """The weight at which the error of unseen items reaches 1 + slack times that of weight 0.

    `WEIGHTS` are tried one after the other until one is too dear; between it and the one before the error counts as a
    straight line.

    Args:
        part: Items that were fitted.
        unseen: float32 [m, D], prepared rows that were not.

    Returns:
        The weight, and how it was found (plain JSON).
    """
    mean, codes = part.x.mean(axis=0, dtype=np.float64), encoded(part.tokenizer, unseen)
    errors = [decoding_error(part.tokenizer, unseen, codes, mean)]
    limit, chosen = (1 + slack) * errors[0], WEIGHTS[-1]
    for below, weight in pairwise(WEIGHTS):
        errors.append(decoding_error(part.learned(weight, config), unseen, codes, mean))
        if errors[-1] > limit:
            left = max(limit - errors[-2], 0.0)
            chosen = below + (weight - below) * left / (errors[-1] - limit + left)
            break
    return chosen, {"weights": list(WEIGHTS[: len(errors)]), "unseen_relative_mse": errors}


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
        settings = config.train.behaviour.model_copy(update={"steps": 2 * _STEPS, "batch_size": _PAIRS})
        draw = random_stream(config.seed, PAIRS_STREAM, 1)
        self.pairs = PairLoss(readout.pair_codes, readout.pairs, settings, draw, self.device)
        self.steps = max(1, self.pairs.steps // 2)  # a step takes two batches
        self.batches = random_batches(len(self.rows), min(_BATCH, len(self.rows)), draw)
        trained = [parameter.requires_grad_() for parameter in self.parameters]
        self.descent = Descent(
            torch.optim.Adam(trained, lr=_LEARNING_RATE), self.steps, "lower train.drq.fidelity_slack"
        )

    def step(self) -> None:
        """Descend on the next batch of items and the next of pairs."""
        chosen = next(self.batches)
        error = (self.rows[chosen].to(self.device) / self.unit - self._decode(self.codes[chosen])).square().sum()
        pull = sum(r * t[:, : self.content].square().sum() for r, t in zip(self.ridges, self.parameters, strict=True))
        near, free = self.pairs.next(self._decode), self.pairs.next(self._embed)
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
        return torch.stack(rows).sum(dim=0)

    def _decode(self, codes: Tensor) -> Tensor:
        """x_hat in training coordinates."""
        return self._sum(codes)[:, : self.content] + self.shift

    def _embed(self, codes: Tensor) -> Tensor:
        """e, without gradient for its content part."""
        whole = self._sum(codes)
        return torch.cat([whole[:, : self.content].detach(), whole[:, self.content :]], dim=1)
