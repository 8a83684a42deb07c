"""What a setting takes, in words: its type and its range, as the declaration of its field has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

from drq_spark.config.section import Section

_NOUNS = {int: "an integer", float: "a number", str: "text", bool: "true or false"}


def taken(field: FieldInfo) -> str:
    """What a field takes, such as "an integer from 1 to 64 or null".

    >>> from drq_spark.config import TokenizerSettings
    >>> taken(TokenizerSettings.model_fields["codes"])
    'an integer of 1 or more, or a list of them'
    >>> taken(TokenizerSettings.model_fields["balance"])
    'a number from 0 to 1, or null'
    """
    return _words(field.annotation, field.metadata)


def choices(kind: Any) -> tuple[str, ...]:
    """The texts of which a setting of this type takes one; none where it takes others too."""
    if get_origin(kind) is Literal:
        return tuple(str(part) for part in get_args(kind))
    return tuple(member.value for member in kind) if isinstance(kind, type) and issubclass(kind, Enum) else ()


def _words(kind: Any, bounds: Sequence[Any] = ()) -> str:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _words(parts[0], [*bounds, *_flat(parts[1:])])
    if origin in (Union, UnionType):
        return _either(parts, bounds)
    if origin is tuple:
        return f"a list in which each is {_words(parts[0])}"
    if origin is Literal:
        return " or ".join(repr(part) for part in parts)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(choices(kind))}"
    if isinstance(kind, type) and issubclass(kind, Section):
        return "a section with keys"
    return f"{_NOUNS[kind]}{_range(bounds)}"


def _either(kinds: Sequence[Any], bounds: Sequence[Any]) -> str:
    told: list[str] = []
    for kind in kinds:
        listed = get_origin(kind) is tuple and told and _words(get_args(kind)[0]) == told[0]
        told.append("null" if kind is NoneType else "a list of them" if listed else _words(kind, bounds))
    return ", or ".join(told) if len(told) > 1 else told[0]


def _flat(metadata: Iterable[Any]) -> list[Any]:
    """Bounds, out of the `Field` that may hold them."""
    return [bound for part in metadata for bound in (part.metadata if isinstance(part, FieldInfo) else [part])]


def _range(bounds: Sequence[Any]) -> str:
    """The range in words; empty where every value is taken."""
    low, above, high = (_bound(bounds, kind, name) for kind, name in ((Ge, "ge"), (Gt, "gt"), (Le, "le")))
    if low and high:
        return f" from {low} to {high}"
    least = f" of {low} or more" if low else f" above {above}" if above else ""
    most = f" at most {high}" if high else ""
    return f"{least} and{most}" if least and most else least or most


def _bound(bounds: Sequence[Any], kind: type, name: str) -> str | None:
    """The bound of that kind as text; None where there is none."""
    found = [getattr(bound, name) for bound in bounds if isinstance(bound, kind)]
    return f"{int(found[0]) if found[0] == int(found[0]) else found[0]}" if found else None
