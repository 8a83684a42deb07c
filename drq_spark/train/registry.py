"""Trainers by name; torch is loaded only when one is asked for."""

from __future__ import annotations

from importlib import import_module

from drq_spark.errors import ConfigError, SetupError
from drq_spark.kinds import kind_of
from drq_spark.train.contract import Trainer


def trainer(name: str) -> Trainer:
    """The trainer of a kind of tokenizer.

    Raises:
        ConfigError: no such name.
        SetupError: torch, scipy or threadpoolctl is not installed.
    """
    try:
        module, _, attribute = kind_of(name).trainer.partition(":")
    except ValueError as error:
        raise ConfigError(str(error)) from None
    try:
        chosen: Trainer = getattr(import_module(module), attribute)()
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in ("torch", "scipy", "threadpoolctl"):
            raise
        raise SetupError(f"training needs {missing}, which is not installed: pip install 'drq-spark[train]'") from error
    return chosen
