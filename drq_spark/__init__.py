"""Semantic IDs for huge item catalogues with Spark, and the figures that tell how good they are.

Importing the package loads neither torch nor Spark: each name below is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drq_spark.array_figures import figures as figures
    from drq_spark.assign.sid_udf import sid_udf as sid_udf
    from drq_spark.config import Config as Config
    from drq_spark.config import load_config as load_config
    from drq_spark.notebook import measure_sids as measure_sids
    from drq_spark.notebook import run_all as run_all
    from drq_spark.tokenizer.artifact import load_tokenizer as load_tokenizer
    from drq_spark.tokenizer.artifact import save_tokenizer as save_tokenizer
    from drq_spark.tokenizer.model import Tokenizer as Tokenizer
    from drq_spark.tokenizer.sid_index import SidIndex as SidIndex
    from drq_spark.tokens import SidTokens as SidTokens
    from drq_spark.train.array_fit import fit as fit
    from drq_spark.train.driver import train_tokenizer as train_tokenizer

__version__ = "0.1.0"

_HOMES = {
    "Config": "drq_spark.config",
    "SidIndex": "drq_spark.tokenizer.sid_index",
    "SidTokens": "drq_spark.tokens",
    "Tokenizer": "drq_spark.tokenizer.model",
    "figures": "drq_spark.array_figures",
    "fit": "drq_spark.train.array_fit",
    "load_config": "drq_spark.config",
    "load_tokenizer": "drq_spark.tokenizer.artifact",
    "measure_sids": "drq_spark.notebook",
    "run_all": "drq_spark.notebook",
    "save_tokenizer": "drq_spark.tokenizer.artifact",
    "sid_udf": "drq_spark.assign.sid_udf",
    "train_tokenizer": "drq_spark.train.driver",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'drq_spark' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names alone, so that they are what completion offers."""
    return sorted(__all__)
