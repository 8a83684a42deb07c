"""Docstrings as the site shows them: examples as code, and several arguments that share a line one by one.

It is an extension of griffe, which reads the package for the site; see `plugins` in mkdocs.yml.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import griffe  # of the site's environment

_SEVERAL = re.compile(r"^(\s+)(\w+(?:, \w+)+): (.+)$")
_NOT_RUN = re.compile(r" +# doctest: \+SKIP$")


def as_markdown(docstring: str, names: Collection[str]) -> str:
    """The text of a docstring with fences around its examples, and a line for each of the names that share one.

    Args:
        docstring: Without its indentation.
        names: Arguments or attributes that it may describe.
    """
    lines: list[str] = []
    inside = False
    for line in docstring.splitlines():
        if not inside and line.startswith(">>> "):
            inside = True
            lines.append("```python")
        elif inside and not line.strip():
            inside = False
            lines.append("```")
        lines += [_NOT_RUN.sub("", line)] if inside else _one_by_one(line, names)
    return "\n".join([*lines, "```"] if inside else lines)


def _one_by_one(line: str, names: Collection[str]) -> list[str]:
    found = _SEVERAL.match(line)
    if found is None or not set(found[2].split(", ")) <= set(names):
        return [line]
    return [f"{found[1]}{name}: {found[3]}" for name in found[2].split(", ")]


class SiteDocstrings(griffe.Extension):  # type: ignore[misc]
    """Changes every docstring as it is read."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Called by griffe for each module, class, function and attribute."""
        if obj.docstring is not None:
            names = [parameter.name for parameter in obj.parameters] if obj.is_function else list(obj.members)
            obj.docstring.value = as_markdown(obj.docstring.value, names)
