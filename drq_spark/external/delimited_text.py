"""Text with a row a line: what parts its columns, and whether its first line names them."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

_DELIMITERS = ",\t;|"
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_DATA = re.compile(r"\s*(?:<[^<>]*[0-9]>\s*)+|\s*[\[(]?\s*[0-9]+(?:\s*[-,;:_|/\s]\s*[0-9]+)*\s*[\])]?\s*")


@dataclass(frozen=True)
class TextForm:
    """How a file of lines is to be read.

    Attributes:
        delimiter: What parts the columns.
        header: Whether the first line names them.
        first: The fields of the first line.
    """

    delimiter: str
    header: bool
    first: tuple[str, ...]


def text_form(lines: Sequence[str]) -> TextForm:
    """The form, by the first lines of a file.

    The delimiter is the first of comma, tab, semicolon and bar in the first line. A line that holds a code, a list of
    codes or tokens is no header, for no name of a column looks like one.

    >>> text_form(["item_id\\tcodes", "a\\t1,2,3"])
    TextForm(delimiter='\\t', header=True, first=('item_id', 'codes'))
    >>> text_form(["a;<a_1><b_2>"])
    TextForm(delimiter=';', header=False, first=('a', '<a_1><b_2>'))
    """
    first = lines[0].removeprefix("\ufeff").rstrip("\r") if lines else ""
    bare = _QUOTED.sub("", first)
    delimiter = next((sign for sign in bare if sign in _DELIMITERS), ",")
    fields = tuple(next(csv.reader([first], delimiter=delimiter), []))
    return TextForm(delimiter, not any(_DATA.fullmatch(field) for field in fields), fields)
