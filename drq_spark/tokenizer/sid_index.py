"""From SIDs, and from their prefixes, back to the items that have them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from drq_spark.arrays import I32, I64
from drq_spark.tokenizer.keys import codes_to_keys, keys_to_codes, place_values
from drq_spark.tokenizer.one_or_many import one_or_many


class SidIndex:
    """The items of a catalogue by SID: items that share a prefix lie side by side, in the order of their keys.

    >>> index = SidIndex([[0, 2], [3, 1], [0, 5], [3, 1]], (4, 6))
    >>> index.items([3, 1]).tolist(), index.items([0]).tolist(), index.items([1]).tolist()
    ([1, 3], [0, 2], [])
    >>> index.counts([[3, 1], [0, 2], [2, 2]]).tolist()
    [2, 1, 0]

    Items are rows of the codes, from 0. It takes 16 bytes an item, and a question two binary searches.

    Args:
        codes: SIDs [n, L], a row an item.
        codebook_sizes: K of each level, `Tokenizer.codebook_sizes`.

    Attributes:
        codebook_sizes: See above.
        order: int64 [n], the items by SID, and by row where they share one.

    Raises:
        ValueError: codes that are not [n, L] or out of range.
    """

    def __init__(self, codes: ArrayLike, codebook_sizes: Sequence[int]) -> None:
        self.codebook_sizes = tuple(codebook_sizes)
        keys = codes_to_keys(one_or_many(codes, "codes")[0], self.codebook_sizes)
        self.order: I64 = np.argsort(keys, kind="stable")
        self._keys = keys[self.order]

    @property
    def sids(self) -> I32:
        """The different SIDs int32 [s, L], by their codes, level 1 first."""
        return keys_to_codes(np.unique(self._keys), self.codebook_sizes)

    def items(self, prefix: Sequence[int]) -> I64:
        """The items whose SID begins with these codes, int64 [m], by SID; those of one SID where it is a whole one.

        Raises:
            ValueError: codes that are out of range, or none.
        """
        start, stop = self._ranges([prefix])
        return self.order[start[0] : stop[0]]

    def items_of_each(self, prefixes: ArrayLike) -> tuple[I64, I64]:
        """The items of many prefixes of one length at once.

        Args:
            prefixes: Codes [q, l], l from 1 to L.

        Returns:
            (items, ends): items int64 [m], prefix after prefix; those of prefix i end before `ends[i]`, int64 [q], and
            begin where those of the one before end.

        Raises:
            ValueError: as `items`.
        """
        start, stop = self._ranges(prefixes)
        ends = np.cumsum(stop - start)
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(stop - ends, stop - start)
        return self.order[places], ends

    def counts(self, prefixes: ArrayLike) -> I64:
        """How many items there are of each prefix, int64 [q], of codes [q, l]; 0 where a prefix is nobody's.

        Raises:
            ValueError: as `items`.
        """
        start, stop = self._ranges(prefixes)
        return stop - start

    def prefix_numbers(self, level: int) -> I64:
        """Which prefix of so many codes each item has, int64 [n]: numbers from 0 by rising codes, without gaps.

        A ranker takes them as a categorical feature.

        Raises:
            ValueError: no level of that number.
        """
        if not 1 <= level <= len(self.codebook_sizes):
            raise ValueError(f"level must be 1 to {len(self.codebook_sizes)}, not {level}")
        prefix = self._keys // place_values(self.codebook_sizes)[level - 1]
        numbers = np.empty(len(prefix), np.int64)
        numbers[self.order] = np.cumsum(np.diff(prefix, prepend=prefix[:1]) != 0)
        return numbers

    def _ranges(self, prefixes: ArrayLike) -> tuple[I64, I64]:
        """Where in `order` the items of each prefix [q, l] begin and end."""
        rows, one = one_or_many(prefixes, "codes")
        length = rows.shape[1] if rows.ndim == 2 else 0
        if one or not 1 <= length <= len(self.codebook_sizes):
            raise ValueError(
                f"prefixes must be [q, l] with 1 to {len(self.codebook_sizes)} codes each, not {np.shape(prefixes)}"
            )
        wide = place_values(self.codebook_sizes)[length - 1]
        first = codes_to_keys(rows, self.codebook_sizes[:length]) * wide
        return np.searchsorted(self._keys, first), np.searchsorted(self._keys, first + wide)
