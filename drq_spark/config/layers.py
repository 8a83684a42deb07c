"""Files and --set layered over the defaults; unknown keys are errors.

Precedence: defaults < each --config file in order < named options < --set. YAML files hold values only.
`conf/base.yaml` lists every key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from reprlib import Repr
from typing import Any

import yaml
from pydantic import ValidationError

from drq_spark.config.measure import GateRule
from drq_spark.config.plain_yaml import UnfitYaml, parse_yaml
from drq_spark.config.settings import Config
from drq_spark.errors import ConfigError, did_you_mean

_SHOWN = 100  # characters of a value that messages show


def load_config(
    files: Sequence[Path] = (), options: Mapping[str, Any] | None = None, settings: Sequence[str] = ()
) -> Config:
    """Layer files, named options ("a.b" -> value) and `--set` texts ("a.b=value") over the defaults.

    Raises:
        ConfigError: a file that cannot be read, an unknown key, or a value out of range; one line, all faults.
    """
    layers = [
        *(_read_yaml(file) for file in files),
        *(_nested(key, value) for key, value in (options or {}).items()),
        *(_setting(text) for text in settings),
    ]
    try:
        return Config.model_validate(reduce(_merged, layers, {}))
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(fault) for fault in error.errors())) from None


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {file} cannot be read: {error}") from None
    loaded = _parse_yaml(text, f"config file {file}")
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"config file {file} must hold sections with keys, not {type(loaded).__name__}")
    return loaded


def _setting(text: str) -> dict[str, Any]:
    """`section.key=value` of --set as a layer."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set takes section.key=value, not {text!r}")
    if value.startswith((">", "|")):  # a block of YAML takes more than a line: it is the value itself, such as >f4
        return _nested(key.strip(), value)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}.."
    return _nested(key.strip(), _parse_yaml(value, f"--set {shown}"))


def _parse_yaml(text: str, where: str) -> Any:
    try:
        return parse_yaml(text)
    except UnfitYaml as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark and error.problem_mark.line else ""
        raise ConfigError(f"{where} holds no settings: {error.problem}{line}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no such date, for one
        raise ConfigError(f"{where} is not YAML: {' '.join(str(error).split())}") from None


def _nested(key: str, value: Any) -> dict[str, Any]:
    head, dot, tail = key.partition(".")
    return {head: _nested(tail, value) if dot else value}


def _merged(below: Mapping[Any, Any], above: Mapping[Any, Any]) -> dict[Any, Any]:
    """The upper layer's values over the lower one's, section by section; both stay as they are."""
    both = (key for key, value in above.items() if isinstance(value, dict) and isinstance(below.get(key), dict))
    return {**below, **above, **{key: _merged(below[key], above[key]) for key in both}}


def _repr(value: Any) -> str:
    """`repr`, cut where a message would become a page."""
    short = Repr()
    short.maxstring = short.maxother = _SHOWN
    short.maxlevel = 2
    return short.repr(value)


def _explain(fault: Mapping[str, Any]) -> str:
    path = ".".join(str(part) for part in fault["loc"])
    if fault["type"] != "extra_forbidden":
        message = fault["msg"].removeprefix("Value error, ")
        return f"{path}: {message}" + (f", not {_repr(fault['input'])}" if fault["type"] != "value_error" else "")
    known = _known_keys(fault["loc"][:-1])
    return f"unknown setting {path!r}: {did_you_mean(str(fault['loc'][-1]), known)}Known here: {', '.join(known)}"


def _known_keys(location: Sequence[Any]) -> list[str]:
    section: Any = Config
    for part in location:
        # a number is an index into the list of gate rules
        section = section.model_fields[part].annotation if isinstance(part, str) else GateRule
    return sorted(section.model_fields)
