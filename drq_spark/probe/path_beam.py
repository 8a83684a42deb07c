"""Beam search over paths that items have: no other path is ever reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from drq_spark.arrays import I64
from drq_spark.export.prefix_tree import PrefixTree

Worth = Callable[[int, Tensor, Tensor], Tensor]
"""ln p of children, but for a number of each beam, from its state: level, [q, b, d], int64 [q, b, c] -> [q, b, c]."""
After = Callable[[int, Tensor, Tensor], Tensor]
"""States after tokens of a level: level, [q, b, d], int64 [q, b] -> [q, b, d]."""


@dataclass(frozen=True)
class PathTree:
    """A tree of prefixes as tensors, for many searches at once.

    Attributes:
        codes: int64 [nodes], last token of each prefix.
        children: int64 [nodes + 1], where the children of each node begin.
        widest: The most children that a node of each level has, the root first.
        items: int64 [nodes], the item at a leaf; at other nodes no matter.
        above: int64 [n, T], the prefix before each token of the path of an item.
    """

    codes: Tensor
    children: Tensor
    widest: tuple[int, ...]
    items: Tensor
    above: Tensor

    @classmethod
    def of(cls, tree: PrefixTree, item_of_leaf: I64) -> PathTree:
        """The tree of paths, with the item at each leaf, int64 [leaves]."""
        first, widest = 0, []
        fans = np.diff(tree.children)
        while first < len(tree.codes) - tree.leaves:
            below = int(tree.children[first])
            widest.append(int(fans[first:below].max()))
            first = below
        items = np.zeros(len(tree.codes), np.int64)
        items[len(items) - tree.leaves :] = item_of_leaf
        return cls(
            torch.from_numpy(tree.codes.astype(np.int64)),
            torch.from_numpy(tree.children),
            tuple(widest),
            torch.from_numpy(items),
            torch.from_numpy(_above(tree, item_of_leaf, len(widest))),
        )

    def below(self, level: int, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """Children of nodes of a level, filled up with the first, and where they are: int64, bool [.., widest]."""
        first, end = self.children[nodes], self.children[nodes + 1]
        child = first[..., None] + torch.arange(self.widest[level])
        absent = child >= end[..., None]
        return torch.where(absent, first[..., None], child), absent


def _above(tree: PrefixTree, item_of_leaf: I64, depth: int) -> I64:
    above = np.empty((tree.leaves, depth), np.int64)
    node = np.arange(len(tree.codes) - tree.leaves, len(tree.codes))
    for level in reversed(range(depth)):
        node = tree.children.searchsorted(node, side="right") - 1  # children of one node follow those of the last
        above[item_of_leaf, level] = node
    return above


def best_leaves(
    tree: PathTree, start: Tensor, worth: Worth, after: After, width: int, count: int, barred: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Items at the likeliest leaves, likeliest first, and their ln p: int64, float32 [q, k], k at most `count`.

    All rows go through the tree at once. ln p is -inf behind the last leaf that was found.

    Args:
        tree: The paths.
        start: What is known of each row before the first token, [q, d].
        worth: What children are worth; chances are made of it among the children that there are.
        after: How a state goes on.
        width: Prefixes that are kept at each level; from that of all prefixes on the search is exact.
        count: Leaves that are wanted.
        barred: bool [q, items], those that may not be named.
    """
    depth = len(tree.widest)
    states, total = start[:, None], start.new_zeros(len(start), 1)
    nodes = torch.zeros(len(start), 1, dtype=torch.int64)
    for level in range(depth):
        last = level == depth - 1
        child, absent = tree.below(level, nodes)
        chance = worth(level, states, child).masked_fill(absent, -torch.inf).log_softmax(dim=2)
        reached = (total[..., None] + chance).flatten(1)
        if last and barred is not None:
            reached = reached.masked_fill(barred.gather(1, tree.items[child].flatten(1)), -torch.inf)
        total, place = reached.topk(min(count if last else width, reached.shape[1]), dim=1)
        nodes = child.flatten(1).gather(1, place)
        if not last:
            parent = (place // child.shape[2])[..., None].expand(-1, -1, states.shape[2])
            states = after(level, states.gather(1, parent), tree.codes[nodes])
    return tree.items[nodes], total
