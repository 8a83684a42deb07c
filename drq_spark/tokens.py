"""SIDs as tokens of a generator's vocabulary: `<a_12><b_3><c_7>`, or as a template says.

Codes in tokens count from 0, as they do everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import I32, I64

_CODE = "{}"
_MARK = re.compile(r"(?<![A-Za-z0-9])a(?![A-Za-z0-9])|(?<![0-9])[01](?![0-9{])")
_NUMBER = "(0|[1-9][0-9]{0,18})"
_LAST_LETTER = ord("z") - ord("a")
_MAX_CODE = 2**31 - 1  # codes are int32
_MAX_SUFFIX = 2**63 - 1  # suffixes are int64
NO_SUFFIX = -1
"""The suffix of an item that needs none."""


@dataclass(frozen=True)
class SidTokens:
    """How a SID is spelled as tokens.

    >>> SidTokens().texts(np.array([[12, 3, 7]]))
    ['<a_12><b_3><c_7>']
    >>> SidTokens("<|s_a_{}|>", begin="<|sid_begin|>", end="<|sid_end|>").rows(np.array([[4, 5]]))
    [['<|sid_begin|>', '<|s_a_4|>', '<|s_b_5|>', '<|sid_end|>']]

    Attributes:
        template: A token of the first level, with `{}` for its code. What tells the levels apart is a letter a that
            stands alone (later levels have b, c, ..), or a number 0 or 1 that does (later levels count on):
            `<a_{}>`, `<s_a_{}>`, `<item_L0_C{}>`.
        begin, end: Tokens before and after every SID; none where empty.
        suffix: Token of the number that tells items with one SID apart, with `{}` for it, such as `<suffix_{}>`. Where
            empty it is spelled as one level more.

    Raises:
        ValueError: a template from which no code or no level can be read back.
    """

    template: str = "<a_{}>"
    begin: str = ""
    end: str = ""
    suffix: str = ""

    def __post_init__(self) -> None:
        parts = self.template.split(_CODE)
        if len(parts) != 2 or len(_MARK.findall(self.template)) != 1:
            raise ValueError(
                f"token template {self.template!r} must have {_CODE} once, for the code, and once a letter a or a "
                "number 0 or 1 that stands alone, for the level: <a_{}>, <item_L0_C{}>"
            )
        if self.suffix and len(self.suffix.split(_CODE)) != 2:
            raise ValueError(f"suffix token {self.suffix!r} must have {_CODE} once, for the number: <suffix_{{}}>")
        if any(text[:1].isdigit() for text in self._behind_numbers()):
            raise ValueError(f"token template {self.template!r} puts a digit behind a code, and none can be read back")

    def _behind_numbers(self) -> list[str]:
        """What may stand behind the number of a token."""
        tails = [token.split(_CODE)[1] for token in (self.template, self.suffix) if token]
        return tails if all(tails) else [*tails, self.template, self.suffix, self.end]

    @cached_property
    def _halves(self) -> tuple[str, str, str]:
        """The template before, of and behind the mark of its level."""
        found = _MARK.search(self.template)
        assert found is not None  # __post_init__ has looked
        return self.template[: found.start()], found[0], self.template[found.end() :]

    def _level(self, level: int) -> str:
        """The template of a level, counted from 0."""
        before, mark, behind = self._halves
        if mark != "a":
            return f"{before}{int(mark) + level}{behind}"
        if level > _LAST_LETTER:
            raise ValueError(f"tokens have letters for {_LAST_LETTER + 1} levels: number them, as <s_0_{{}}> does")
        return f"{before}{chr(ord(mark) + level)}{behind}"

    def _suffix(self, levels: int) -> str:
        return self.suffix or self._level(levels)

    def around(self, level: int) -> tuple[str, str]:
        """What stands before and behind the code in the token of a level, counted from 0.

        Raises:
            ValueError: a level that has no letter.
        """
        before, behind = self._level(level).split(_CODE)
        return before, behind

    def level_tokens(self, level: int, codes: Sequence[int]) -> list[str]:
        """The tokens of codes at a level, counted from 0.

        Raises:
            ValueError: a code below 0, or a level that has no letter.
        """
        return _filled(self._level(level), codes)

    def suffix_tokens(self, levels: int, suffixes: Sequence[int]) -> list[str]:
        """The tokens of suffixes behind that many levels.

        Raises:
            ValueError: a suffix below 0, or no letter is left.
        """
        return _filled(self._suffix(levels), suffixes)

    def vocabulary(self, codebook_sizes: Sequence[int], suffixes: int = 0) -> list[str]:
        """Every token there is: begin and end, those of each level in the order of codes, and so many suffixes."""
        levels = [self.level_tokens(level, range(size)) for level, size in enumerate(codebook_sizes)]
        last = self.suffix_tokens(len(levels), range(suffixes)) if suffixes else []
        return [mark for mark in (self.begin, self.end) if mark] + [token for row in (*levels, last) for token in row]

    def rows(self, codes: NDArray[np.integer], suffixes: NDArray[np.integer] | None = None) -> list[list[str]]:
        """A list of tokens per item, of codes [n, L].

        Args:
            codes: 0-based codes.
            suffixes: [n], a last token each; none for an item with `NO_SUFFIX`.

        Raises:
            ValueError: codes that are no matrix, one below 0, or more levels than letters.
        """
        columns = self._columns(codes, suffixes)
        return [[token for token in row if token] for row in zip(*(part.tolist() for part in columns), strict=True)]

    def texts(self, codes: NDArray[np.integer], suffixes: NDArray[np.integer] | None = None) -> list[str]:
        """The tokens of `rows` joined to one string per item.

        Raises:
            ValueError: as `rows`.
        """
        columns = self._columns(codes, suffixes)
        joined: list[str] = sum(columns[1:], columns[0]).tolist()
        return joined

    def _columns(self, codes: NDArray[np.integer], suffixes: NDArray[np.integer] | None) -> list[NDArray[Any]]:
        """Texts as objects [n], one array for each place in a SID."""
        if codes.ndim != 2:
            raise ValueError(f"codes must be [n, L], not {codes.shape}")
        columns = [_looked_up(self._level(level), codes[:, level]) for level in range(codes.shape[1])]
        if suffixes is not None:
            columns.append(_looked_up(self._suffix(codes.shape[1]), suffixes, none=NO_SUFFIX))
        return [np.full(len(codes), self.begin, object), *columns, np.full(len(codes), self.end, object)]

    def parse(self, sids: Sequence[str | Sequence[str]], levels: int) -> tuple[I32, I64]:
        """Codes int32 [n, L] and suffixes int64 [n] of SIDs as texts or lists of tokens.

        It is the inverse of `texts` and `rows`: an item without a suffix token has `NO_SUFFIX`.

        Raises:
            ValueError: a text that is not one token per level, in order, between begin and end.
        """
        pattern = self._pattern(levels)
        rows = [_numbers(pattern, sid if isinstance(sid, str) else "".join(sid), levels) for sid in sids]
        found = np.array(rows, np.int64).reshape(len(rows), levels + 1)
        return found[:, :levels].astype(np.int32), found[:, levels]

    def _pattern(self, levels: int) -> re.Pattern[str]:
        codes = "".join(_as_pattern(self._level(level)) for level in range(levels))
        has_letter = self.suffix or self._halves[1] != "a" or levels <= _LAST_LETTER
        suffix = f"(?:{_as_pattern(self._suffix(levels))})?" if has_letter else "()"
        return re.compile(f"{re.escape(self.begin)}{codes}{suffix}{re.escape(self.end)}")


DEFAULT_TOKENS = SidTokens()
"""The spelling of LC-Rec, LETTER and MiniOneRec: `<a_12><b_3><c_7>`."""


def _filled(template: str, numbers: Sequence[int]) -> list[str]:
    """The template with each number in its place."""
    if len(numbers) and min(numbers) < 0:
        raise ValueError(f"codes and suffixes in tokens count from 0, not {min(numbers)}")
    before, behind = template.split(_CODE)
    return [f"{before}{number}{behind}" for number in numbers]


def _looked_up(template: str, numbers: NDArray[np.integer], none: int | None = None) -> NDArray[Any]:
    """Tokens as objects [n]; the empty text for `none`. Each different one is written once."""
    different, place = np.unique(numbers, return_inverse=True)
    written = different[different != none] if none is not None else different
    skipped = [""] * (len(different) - len(written))  # `none` is below all others
    return np.array([*skipped, *_filled(template, written.tolist())], object)[place]


def _as_pattern(template: str) -> str:
    before, behind = template.split(_CODE)
    return re.escape(before) + _NUMBER + re.escape(behind)


def _numbers(pattern: re.Pattern[str], text: str, levels: int) -> list[int]:
    """Codes and suffix of one SID."""
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError(f"not a SID of {levels} levels: {text!r}")
    *codes, suffix = found.groups()
    numbers = [int(code) for code in codes]
    last = int(suffix) if suffix else NO_SUFFIX
    if max(numbers) > _MAX_CODE or last > _MAX_SUFFIX:
        raise ValueError(f"not a SID, a code is larger than {_MAX_CODE}: {text!r}")
    return [*numbers, last]
