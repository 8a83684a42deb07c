"""What every trainer promises, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32, I32
from drq_spark.config import Config
from drq_spark.progress import Progress
from drq_spark.tokenizer import Tokenizer


@dataclass(frozen=True)
class TrainingPairs:
    """Behaviour, split for every trainer by users and by items.

    Attributes:
        prepared: float32 [m, D], the items of all pairs as `Tokenizer.prepare_input` gives them.
        held_out_items: bool [m], items that training may not see: the same ones as in `TrainingData.held_out`.
        pairs: int64 [p, 2], rows of `prepared`, neither end held out, of users that training may see.
        held_out_pairs: int64 [q, 2], those of the other users; their ends may be held out.
    """

    prepared: F32
    held_out_items: NDArray[np.bool_]
    pairs: NDArray[np.int64]
    held_out_pairs: NDArray[np.int64]


UNKNOWN = -1
"""In place of the codes of an item that has no SID yet."""


@dataclass(frozen=True)
class Before:
    """What a retraining stands on.

    Attributes:
        tokenizer: The one that readers follow.
        codes: int32 [n, L], the SIDs that the items of `TrainingData.prepared` have; `UNKNOWN` for those without.
    """

    tokenizer: Tokenizer
    codes: I32


@dataclass(frozen=True)
class TrainingData:
    """The sample, split once for every trainer.

    Attributes:
        prepared: float32 [n, D], all rows as `Tokenizer.prepare_input` gives them, in random order.
        held_out_rows: How many of them, from the first, only judge the fit; 0 where `sample.holdout` is 0.
        fingerprint: Fingerprint of the sample, see `drq_spark.sample`.
        exposure: float64 [n] in the order of `prepared`, or None.
        behaviour: None without events.
        before: None where nothing is to be kept.
    """

    prepared: F32
    held_out_rows: int
    fingerprint: str
    exposure: NDArray[np.float64] | None = None
    behaviour: TrainingPairs | None = None
    before: Before | None = None

    def some(self, rows: slice, held_out: int) -> TrainingData:
        """Some of the rows, split anew, without behaviour."""
        return replace(
            self,
            prepared=self.prepared[rows],
            held_out_rows=held_out,
            exposure=None if self.exposure is None else self.exposure[rows],
            behaviour=None,
            before=None if self.before is None else replace(self.before, codes=self.before.codes[rows]),
        )

    @property
    def held_out(self) -> F32:
        """Rows that training may not see, a view."""
        return self.prepared[: self.held_out_rows]

    @property
    def fit(self) -> F32:
        """Rows that training may see, a view."""
        return self.prepared[self.held_out_rows :]


class Trainer(Protocol):
    """Fits one kind of tokenizer. The same data, config, device and threads give the same bits."""

    def memory_bytes(self, rows: int, dim: int, config: Config) -> int:
        """Peak bytes of driver memory for a sample of rows x dim, on top of it; its prepared copy is included."""

    def fit(self, data: TrainingData, config: Config, progress: Progress) -> Tokenizer:
        """Train; the returned tokenizer's `training` holds per-level figures on both parts; the driver adds settings.

        Raises:
            TrainingFailed: the fit diverged, or a VAE tells its items no longer apart.
        """
