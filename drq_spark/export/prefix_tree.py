"""The tree of all prefixes of the SIDs: which codes may follow which, for constrained decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import I32, I64

_ROOT = -1


@dataclass(frozen=True)
class PrefixTree:
    """Prefixes as nodes, numbered level by level and within a level in the order of their codes; 0 is the empty one.

    >>> tree = PrefixTree.of_sids(np.array([[0, 2], [0, 5], [3, 1]]))
    >>> tree.allowed([]).tolist(), tree.allowed([0]).tolist(), tree.allowed([1]).tolist()
    ([0, 3], [2, 5], [])
    >>> tree.leaf([3, 1]), tree.leaf([3, 2])
    (2, None)

    Attributes:
        codes: int32 [nodes], the last code of a prefix; -1 for the empty one.
        children: int64 [nodes + 1]; the children of node i are `children[i]` to `children[i + 1]`, by rising code. The
            whole SIDs are the last nodes and have none.
        leaves: How many SIDs there are; the j-th in the order of their codes is node `nodes - leaves + j`.
    """

    codes: I32
    children: I64
    leaves: int

    @classmethod
    def of_sids(cls, sids: NDArray[np.integer]) -> PrefixTree:
        """The tree of different SIDs [n, L], sorted by their codes, level 1 first.

        Raises:
            ValueError: they are not sorted, or two are equal.
        """
        count, levels = sids.shape
        new = np.zeros(count, np.bool_)  # whether a row has a prefix that the row before has not
        new[:1] = True
        starts, codes = [np.zeros(1, np.int64)], [np.full(1, _ROOT, np.int32)]
        for level in range(levels):
            column = sids[:, level]
            if (column[1:] < column[:-1])[~new[1:]].any():
                raise ValueError("SIDs must be sorted by their codes")
            new[1:] |= column[1:] != column[:-1]
            starts.append(np.flatnonzero(new))
            codes.append(column[new].astype(np.int32))
        if not new.all():
            raise ValueError("SIDs must be different")
        return cls(np.concatenate(codes), _children(starts, count), count)

    def _node(self, prefix: Sequence[int]) -> int | None:
        node = 0
        for code in prefix:
            first, last = self.children[node : node + 2]
            place = int(first + np.searchsorted(self.codes[first:last], code))
            if place == last or self.codes[place] != code:
                return None
            node = place
        return node

    def allowed(self, prefix: Sequence[int]) -> I32:
        """The codes that may follow a prefix, rising; none after a whole SID, or a prefix that no SID has."""
        node = self._node(prefix)
        return self.codes[:0] if node is None else self.codes[self.children[node] : self.children[node + 1]]

    def leaf(self, sid: Sequence[int]) -> int | None:
        """Number of a SID in the order of codes; None where there is none such, or it is only a prefix."""
        node, first = self._node(sid), len(self.codes) - self.leaves
        return None if node is None or node < first or not self.leaves else node - first


def _children(starts: Sequence[NDArray[np.int64]], count: int) -> I64:
    """Where the children of every node begin, int64 [nodes + 1].

    Args:
        starts: Per level from the root on, the first row of each node; rising.
        count: Rows.
    """
    sizes = [1, *(len(rows) for rows in starts[1:])]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    parts = [
        offset + np.searchsorted(below, rows)
        for (rows, below), offset in zip(pairwise(starts), offsets[1:], strict=False)
    ]
    ends = np.full(sizes[-1] + 1, offsets[-1], np.int64)
    return np.concatenate([*parts, ends]).astype(np.int64)
