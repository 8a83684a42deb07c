"""Trainers by name. Loads torch only when a trainer is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable

from drq_spark.errors import ConfigError, SetupError, did_you_mean
from drq_spark.train.contract import Trainer


def _drq() -> Trainer:
    from drq_spark.train.drq import DrqTrainer

    return DrqTrainer()


def _rq_kmeans() -> Trainer:
    from drq_spark.train.rq_kmeans import RqKMeans

    return RqKMeans()


def _rq_vae() -> Trainer:
    from drq_spark.train.rq_vae import RqVaeTrainer

    return RqVaeTrainer()


def _rqp_vae() -> Trainer:
    from drq_spark.train.rqp_vae import RqpVaeTrainer

    return RqpVaeTrainer()


def _drq_vae() -> Trainer:
    from drq_spark.train.drq_vae import DrqVaeTrainer

    return DrqVaeTrainer()


def _drq_vae_cl() -> Trainer:
    from drq_spark.train.drq_vae_cl import DrqVaeClTrainer

    return DrqVaeClTrainer()


_TRAINERS: dict[str, Callable[[], Trainer]] = {
    "drq": _drq,
    "rq_kmeans": _rq_kmeans,
    "rq_vae": _rq_vae,
    "rqp_vae": _rqp_vae,
    "drq_vae": _drq_vae,
    "drq_vae_cl": _drq_vae_cl,
}

NAMES = tuple(_TRAINERS)


def trainer(name: str) -> Trainer:
    """The trainer of a kind of tokenizer.

    Raises:
        ConfigError: no such name.
        SetupError: torch is not installed.
    """
    if name not in _TRAINERS:
        raise ConfigError(f"no tokenizer is called {name!r}: {did_you_mean(name, NAMES)}Known: {', '.join(NAMES)}")
    # OpenMP reads it when torch is loaded: threads that wait must sleep, for they share the cores with Spark. Spinning
    # ones made training on two busy cores four times as slow.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return _TRAINERS[name]()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "torch":
            raise
        raise SetupError("training needs torch, which is not installed: pip install 'drq-spark[train]'") from error
