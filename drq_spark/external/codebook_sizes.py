"""How many codes every level of a map has, and what its codes say of the settings that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from drq_spark.code_space import MAX_KEYS
from drq_spark.config import Sids
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.external import notes
from drq_spark.external.code_ends import CodeEnds
from drq_spark.external.code_ranges import counts_from_1, one_vocabulary
from drq_spark.external.sid_files import WHAT

MOST_CODES = 2**20  # of a level: the driver holds how often each is used


def sizes_of(
    found: CodeEnds, base: tuple[int, ...], settings: Sids, books: tuple[int, ...] | None
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """K per level, and what to say of the codes.

    Args:
        found: The codes that there are.
        base: The first code of every level.
        settings: What is said of the map.
        books: K per level of the codebooks; None where there are none.

    Raises:
        ConfigError: sids.codes is too small, or is not what the codebooks have.
        InputRefused: a code is below the first one or in no codebook, or there are too many for a key.
    """
    levels = len(base)
    largest = [code - first for code, first in zip(found.largest, base, strict=True)]
    _refuse_codes(found.lowest, largest, base)
    asked = _asked(found, largest, settings, books)
    sizes = asked or tuple(max(2, code + 1) for code in largest)
    if prod(sizes) >= MAX_KEYS:
        raise InputRefused(
            f"{WHAT}: {list(sizes)} codes a level make {prod(sizes):.3g} SIDs, but the sid key holds fewer than "
            f"2^63 = {MAX_KEYS:.3g}{_vocabulary_hint(found, settings, None)}"
        )
    told = []
    if found.longer:
        told.append(notes.longer_codes(found.longer, levels))
    given = isinstance(settings.codes, tuple) or isinstance(settings.base, tuple)
    if found.last_numbers and settings.levels is None and books is None and not given:
        told.append(notes.last_code_numbers(levels))
    if settings.base == 0 and min(found.lowest) == max(found.lowest) == 1:
        told.append(notes.codes_count_from_1())
    if settings.base == 0 and asked is None and (first := one_vocabulary(found.lowest, found.largest)):
        told.append(notes.one_vocabulary(first))
    if asked is None:
        told.append(notes.sizes_guessed(sizes))
    return sizes, tuple(told)


def _refuse_codes(lowest: Sequence[int], largest: Sequence[int], base: Sequence[int]) -> None:
    below = next((level for level, code in enumerate(lowest) if code < base[level]), None)
    if below is not None:
        raise InputRefused(
            f"{WHAT}: code {lowest[below]} at level {below + 1}; codes count from {base[below]} (sids.base)"
        )
    if max(largest) >= MOST_CODES:
        at = largest.index(max(largest))
        raise InputRefused(
            f"{WHAT}: code {largest[at] + base[at]} at level {at + 1} is beyond {MOST_CODES:,} codes a level from "
            f"{base[at]} on (sids.base)"
        )


def _asked(
    found: CodeEnds, largest: Sequence[int], settings: Sids, books: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    """K per level as the settings or the codebooks say; None where neither does."""
    if settings.codes is None:
        asked = books
    else:
        asked = (settings.codes,) * len(largest) if isinstance(settings.codes, int) else settings.codes
        if books not in (None, asked):
            raise ConfigError(f"sids.codes is {list(asked)}, but the codebooks have {list(books or ())} rows")
    for level, (code, size) in enumerate(zip(largest, asked or (), strict=asked is not None), start=1):
        if code >= size:
            where, hint = f"{WHAT}: code {code} (from 0) at level {level}", _base_hint(found, settings, asked)
            if books is None:
                raise ConfigError(f"{where}, but sids.codes gives it {size}{hint}")
            raise InputRefused(f"{where}, but its codebook has {size} rows{hint}")
    return asked


def _base_hint(found: CodeEnds, settings: Sids, sizes: tuple[int, ...] | None) -> str:
    """The setting by which codes beyond K fit; empty where none does."""
    if settings.base == 0 and sizes is not None and counts_from_1(found.lowest, found.largest, sizes):
        return "; if codes count from 1, set sids.base=1"
    if settings.levels is None and found.last_numbers and len(found.largest) > 1:
        return f"; the last code only tells items apart: set sids.levels={len(found.largest) - 1} to leave it out"
    return _vocabulary_hint(found, settings, sizes)


def _vocabulary_hint(found: CodeEnds, settings: Sids, sizes: tuple[int, ...] | None) -> str:
    base = one_vocabulary(found.lowest, found.largest, sizes) if settings.base in (0, 1) else None
    if base is None:
        return ""
    return f"; codes look offset, each level behind the one before: if so, set sids.base=[{','.join(map(str, base))}]"
