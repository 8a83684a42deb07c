"""Files and --set layered over the defaults; unknown keys are errors.

Precedence: defaults < each --config file in order < named options < --set. YAML files hold values only.
`conf/base.yaml` lists every key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from reprlib import Repr
from typing import Any, get_args

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from drq_spark.config.measure import GateRule
from drq_spark.config.plain_yaml import UnfitYaml, parse_yaml
from drq_spark.config.section import Section
from drq_spark.config.setting_words import choices, taken
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
    given: dict[Any, Any] = reduce(_merged, layers, {})
    try:
        return Config.model_validate(given)
    except ValidationError as error:
        raise ConfigError(_explain(error.errors(), given)) from None


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


def _explain(faults: Sequence[Mapping[str, Any]], given: Mapping[Any, Any]) -> str:
    """All faults in one line, each setting once: a value that may be of several types has a fault for each of them."""
    return "; ".join(dict.fromkeys(_fault(fault, given) for fault in faults))


def _fault(fault: Mapping[str, Any], given: Mapping[Any, Any]) -> str:
    if fault["type"] == "extra_forbidden":
        path, known = ".".join(str(part) for part in fault["loc"]), _known_keys(fault["loc"][:-1])
        return f"unknown setting {path!r}: {did_you_mean(str(fault['loc'][-1]), known)}Known here: {', '.join(known)}"
    place, field, value = _setting_at(fault["loc"], given)
    path = ".".join(str(part) for part in place)
    if fault["type"] == "value_error":
        message = fault["msg"].removeprefix("Value error, ")
        return message if message.startswith(path) else f"{path}: {message}"
    if fault["type"] == "missing":
        return f"{path}: is missing; it must be {taken(field) if field else 'given'}"
    wanted = taken(field) if field is not None else "a section with keys"
    told = f"{path}: must be {wanted}, not {'null' if value is None else _repr(value)}"
    names = choices(field.annotation) if field is not None and isinstance(value, str) else ()
    if names and (hint := did_you_mean(value, names)):
        return f"{told}: {hint.rstrip()}"
    is_name = wanted.startswith("text") and isinstance(value, int | float)
    return f"{told}; in quotes it is text" if is_name else told


def _setting_at(location: Sequence[Any], given: Mapping[Any, Any]) -> tuple[tuple[Any, ...], FieldInfo | None, Any]:
    """The setting that a fault is in: its place, its field (None for an entry of a list of sections), its value.

    What pydantic adds to the place, the name of a type or the number of an entry in a list of values, is left out.
    """
    section: Any = Config
    place: list[Any] = []
    field, value = None, given
    for part in location:
        if isinstance(part, str) and section is not None and part in section.model_fields:
            field = section.model_fields[part]
            section = _section_of(field)
        elif isinstance(part, int) and section is GateRule:
            field = None
        else:
            break
        place.append(part)
        value = _inside(value, part)
    return tuple(place), field, value


def _section_of(field: FieldInfo) -> Any:
    """The section that a field holds, or the one that each entry of its list is; None for a value."""
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), None)


def _inside(value: Any, part: Any) -> Any:
    try:
        return value[part]
    except (KeyError, IndexError, TypeError):
        return None


def _known_keys(location: Sequence[Any]) -> list[str]:
    section: Any = Config
    for part in location:
        # a number is an index into the list of gate rules
        section = section.model_fields[part].annotation if isinstance(part, str) else GateRule
    return sorted(section.model_fields)
