"""The tokens that spell an item for a generator: attributes where wanted, the SID, and what tells items apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drq_spark.arrays import F32, I32, I64
from drq_spark.export.prefix_tree import PrefixTree
from drq_spark.probe.behaviour_data import Candidates


@dataclass(frozen=True)
class TokenPaths:
    """A path of T tokens for each item, and the tree of all paths, whose leaves are items.

    Attribute tokens in front of the SID are the Chain-of-Attribute of UniRec (Wang et al. 2026, arXiv 2604.12234). The
    last token of a path is the suffix, which TIGER (Rajput et al. 2023) has where items share a SID; here every path
    ends in one, 0 where an item is alone.

    Attributes:
        tokens: int32 [n, T].
        sizes: Tokens of each level.
        attributes: How many levels come before the SID.
        share: float32 [n], (events + 1) of an item by the sum of these over the items of its SID.
    """

    tokens: I32
    sizes: tuple[int, ...]
    attributes: int
    share: F32

    @classmethod
    def of(cls, candidates: Candidates, attributes: bool) -> TokenPaths:
        """The paths of all items, with or without their attributes in front."""
        leading = candidates.attributes if attributes else candidates.attributes[:, :0]
        leading_sizes = candidates.attribute_sizes if attributes else ()
        suffix = candidates.suffix[:, None].astype(np.int32)
        sizes = (*leading_sizes, *candidates.codebook_sizes, int(suffix.max(initial=0)) + 1)
        tokens = np.concatenate([leading, candidates.codes, suffix], axis=1).astype(np.int32)
        return cls(tokens, sizes, leading.shape[1], _shares(tokens[:, :-1], candidates.trained_events))

    def tree(self) -> tuple[PrefixTree, I64]:
        """The tree of the paths, and the item at each of its leaves, int64 [n]."""
        order = np.lexsort(self.tokens.T[::-1])
        return PrefixTree.of_sids(self.tokens[order]), order


def _shares(paths: I32, events: I64) -> F32:
    group = np.unique(paths, axis=0, return_inverse=True)[1].ravel()
    weight = events + 1.0
    return (weight / np.bincount(group, weight)[group]).astype(np.float32)
