"""What every trainer promises, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drq_spark.config import Config
from drq_spark.tokenizer import Tokenizer

F32 = NDArray[np.float32]


class Progress(Protocol):
    """Receives what a person watching should see; the command line draws it, tests record it."""

    def __call__(self, stage: str, done: int, total: int, **figures: float) -> None:
        """`stage` has finished step `done` of `total`; `figures` are the latest values by name."""


def silent(stage: str, done: int, total: int, **figures: float) -> None:
    """A `Progress` that shows nothing."""


@dataclass(frozen=True)
class TrainingData:
    """The sample, split once for every trainer.

    Attributes:
        fit: float32 [n_fit, D], prepared rows (see `Tokenizer.prepare_input`) that training may see.
        held_out: float32 [n_held, D], rows that only judge it; empty where `sample.holdout` is 0.
        fingerprint: of the sample, see `drq_spark.sample`.
    """

    fit: F32
    held_out: F32
    fingerprint: str


class Trainer(Protocol):
    """Fits one kind of tokenizer. Same data, config, device and threads give the same bits."""

    def memory_bytes(self, rows: int, dim: int, config: Config) -> int:
        """Peak bytes of driver memory for a sample of rows x dim, on top of it; its prepared copy is included."""

    def fit(self, data: TrainingData, config: Config, progress: Progress) -> Tokenizer:
        """Train; the returned tokenizer's `training` holds per-level figures on both parts (settings: the driver).

        Raises:
            TrainingFailed: the fit diverged or collapsed.
        """
