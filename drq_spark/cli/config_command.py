"""`drq config`: the settings files that come with the package, for those who have no checkout of it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from drq_spark.errors import ConfigError, did_you_mean

_MEANINGS = {
    "base": "every setting with its default and meaning",
    "local": "what a run on a laptop sets",
    "prod": "what a nightly run on a cluster sets",
}
_NAMES = "; ".join(f"{name}: {meaning}" for name, meaning in _MEANINGS.items())


def config(name: Annotated[str, typer.Argument(help=f"{_NAMES}.")] = "base") -> None:
    """Print settings as YAML with comments, to be kept in a file and given with --config; needs no Spark."""
    if name not in _MEANINGS:
        raise ConfigError(f"no settings are named {name!r}: {did_you_mean(name, _MEANINGS)}there are {_NAMES}")
    typer.echo(_text(f"{name}.yaml"), nl=False)


def _text(file: str) -> str:
    """A settings file: in the package, as the wheel and the zip have it; of a checkout, beside it."""
    packed = files("drq_spark") / "conf" / file
    return (packed if packed.is_file() else Path(__file__).parents[2] / "conf" / file).read_text(encoding="utf-8")
