"""What the lowest and the largest code of every level tell of the way that a map numbers its codes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate


def counts_from_1(lowest: Sequence[int], largest: Sequence[int], sizes: Sequence[int]) -> bool:
    """Whether codes fit K per level once they count from 1.

    >>> counts_from_1([1, 1], [16, 12], [16, 16])
    True
    """
    return min(lowest) >= 1 and all(code <= size for code, size in zip(largest, sizes, strict=True))


def one_vocabulary(
    lowest: Sequence[int], largest: Sequence[int], sizes: Sequence[int] | None = None
) -> tuple[int, ...] | None:
    """The first code of every level, where each level seems to begin behind the one before; None where none does.

    Args:
        lowest: The lowest code of each level.
        largest: The largest one.
        sizes: K per level; without it the numbers of codes are guessed to be one number, a power of 2 where one fits.

    >>> one_vocabulary([0, 16, 33], [15, 31, 47])
    (0, 16, 32)
    >>> one_vocabulary([151_670, 151_686], [151_685, 151_701])
    (151670, 151686)
    >>> one_vocabulary([1, 17], [16, 32], [16, 16])
    (1, 17)
    >>> one_vocabulary([0, 0, 0], [15, 15, 15])
    """
    if len(lowest) < 2 or any(low <= before for low, before in zip(lowest[1:], largest, strict=False)):
        return None
    starts = dict.fromkeys((0, 1, lowest[0]) if lowest[0] else (0,))
    if sizes is not None:
        bases = [tuple(accumulate(sizes[:-1], initial=start)) for start in starts]
        return next((base for base in bases if _within(lowest, largest, base, sizes)), None)
    guessed = [(size, start) for start in starts if (size := _one_size(lowest, largest, start))]
    if not guessed:
        return tuple(lowest)
    size, start = min(guessed)
    return tuple(start + level * size for level in range(len(lowest)))


def _within(lowest: Sequence[int], largest: Sequence[int], base: Sequence[int], sizes: Sequence[int]) -> bool:
    """Whether the codes of every level are among the K from its first code on."""
    levels = zip(lowest, largest, base, sizes, strict=True)
    return all(first <= low and high < first + size for low, high, first, size in levels)


def _one_size(lowest: Sequence[int], largest: Sequence[int], start: int) -> int | None:
    """A K for all levels that fits, where level l (from 0) begins at start + l K; None where there is none."""
    least = max((high - start) // (level + 1) + 1 for level, high in enumerate(largest))
    most = min((low - start) // level for level, low in enumerate(lowest) if level)
    if least > most:
        return None
    power = 1 << (least - 1).bit_length()
    return power if power <= most else most
