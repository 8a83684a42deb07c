"""What a page is made of: charts with their words, and plain text, which the template escapes."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Chart:
    """A drawing with its words; `key` names the colours: (CSS variable, meaning), and for dots also their sign."""

    title: str
    caption: str
    svg: Markup
    key: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row names the row, all others are figures."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Fact:
    """A figure with what it means."""

    term: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Meter:
    """A row with a bar of CSS width `share` (0 to 1)."""

    label: str
    value: str
    share: float


@dataclass(frozen=True)
class Sid:
    """A semantic ID as tokens; the first `shared` of them agree with the item it is compared with."""

    name: str
    tokens: tuple[str, ...]
    shared: int = 0
