"""How much a retraining may move: the strongest hold on the old books that fidelity can afford.

On a part of the sample the books are fitted freely, and from where they stood under a ladder of pulls. Each fit has an
error of items that it did not see, and a share of the old items that keep their SID. The one that keeps most among
those whose error is at most 1 + `train.stability.budget` times that of the free fit is what the whole sample is fitted
with. No other figure is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from drq_spark.config import Config
from drq_spark.progress import SILENT, Progress
from drq_spark.train.contract import UNKNOWN, TrainingData
from drq_spark.train.evaluation import encoded, reconstruction_error
from drq_spark.train.latents import Latents
from drq_spark.train.residual import quantized
from drq_spark.train.warm_start import Pull, WarmStart

LADDER = (
    Pull(inf), Pull(4.0), Pull(1.0), Pull(0.3, 0.25), Pull(0.1, 0.25), Pull(0.1, 0.4), Pull(0.03, 0.5), Pull(0.01, 0.8),
)  # fmt: skip


@dataclass(frozen=True)
class Rung:
    """What one pull keeps, and what it costs.

    Attributes:
        pull: See `warm_start.Pull`.
        kept: Share of the old items of the part, seen or not, whose whole SID is the same.
        kept_by_level: The same of the codes of each level.
        unseen_relative_mse: Relative error of the items of the part that the fit did not see.
    """

    pull: Pull
    kept: float
    kept_by_level: tuple[float, ...]
    unseen_relative_mse: float


@dataclass(frozen=True)
class Frontier:
    """The ladder, and the free fit that it is held against.

    Attributes:
        free: Relative error of unseen items of the free fit.
        rungs: In the order of `LADDER`.
    """

    free: float
    rungs: tuple[Rung, ...]

    def chosen(self, budget: float) -> Rung | None:
        """The rung that keeps most at no more than 1 + budget times the free error; None where all cost more."""
        affordable = [rung for rung in self.rungs if rung.unseen_relative_mse <= (1 + budget) * self.free]
        return max(affordable, key=lambda rung: rung.kept, default=None)


def frontier(part: TrainingData, latents: Latents, config: Config, progress: Progress) -> Frontier:
    """Fit freely and under every pull of the ladder.

    Args:
        part: Some of the sample, with `before`: its tokenizer is in the space of `latents`.
        latents: Of the part.
        config: Settings of a free fit.
        progress: Is told of every fit.
    """
    mean = part.fit.mean(axis=0, dtype=np.float64)
    free = quantized(part, latents, config, SILENT.progress).tokenizer
    error = reconstruction_error(free, part.held_out, mean)
    progress("stability", 1, 1 + len(LADDER), held_out_relative_mse=error)
    rungs = []
    for done, pull in enumerate(LADDER):
        rungs.append(_rung(part, latents, pull, config))
        told = {"pull": pull.strength, "kept": rungs[-1].kept, "held_out_relative_mse": rungs[-1].unseen_relative_mse}
        progress("stability", done + 2, 1 + len(LADDER), **told)
    return Frontier(error, tuple(rungs))


def start_of_fit(data: TrainingData, pull: Pull) -> WarmStart:
    """Where a fit to the rows of `data` begins."""
    assert data.before is not None  # else there is nothing to start from
    old = data.before.tokenizer
    return WarmStart(old.codebooks, old.prices, data.before.codes[data.held_out_rows :], pull)


def kept_by(now: np.ndarray, before: np.ndarray) -> tuple[float, tuple[float, ...]]:
    """Share of the rows with a SID before that have the same now, and the same of the code of each level.

    Args:
        now, before: int32 [n, L]; `UNKNOWN` in `before` for rows that had none. Without any old row all are kept.
    """
    old = (before != UNKNOWN).all(axis=1)
    if not old.any():
        return 1.0, (1.0,) * now.shape[1]
    same = now[old] == before[old]
    return float(same.all(axis=1).mean()), tuple(same.mean(axis=0).tolist())


def _rung(part: TrainingData, latents: Latents, pull: Pull, config: Config) -> Rung:
    assert part.before is not None  # else there is nothing to keep
    fitted = quantized(part, latents, config, SILENT.progress, start_of_fit(part, pull)).tokenizer
    kept, by_level = kept_by(encoded(fitted, part.prepared), part.before.codes)
    mean = part.fit.mean(axis=0, dtype=np.float64)
    return Rung(pull, kept, by_level, reconstruction_error(fitted, part.held_out, mean))
