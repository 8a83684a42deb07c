"""What a synthetic catalogue is made from: real items, their neighbourhoods, and how much of everything there is.

Executors run it, so it needs numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32, F64, I64, U64
from drq_spark.formulas.noise import standard_normals, uniforms

_TOPICS = 32  # values of the attribute that tells regions of the catalogue apart
_ROWS = 1024  # rows whose distances to all others are held at once
_MIX, _NOISE, _COPY = range(3)  # streams of `uniforms` and `standard_normals` for items


@dataclass(frozen=True)
class Shape:
    """How large a synthetic catalogue is, and how it is skewed.

    Attributes:
        items, users: How many of each.
        mean_events: Events a user has on average.
        zipf: Exponent z: the item of rank r is met in proportion to (r + 1)^-z where users do not walk.
        walk: Share of the steps that go to a neighbour of the item before.
        near_duplicates: Share of the items that are copies of another one; half of them are exact.
        seed: Of everything that is drawn.
    """

    items: int
    users: int
    mean_events: float = 20.0
    zipf: float = 0.8
    walk: float = 0.7
    near_duplicates: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class Likeness:
    """Real items that synthetic ones lie between.

    Attributes:
        vectors: float32 [S, d].
        neighbours: int32 [S, k], the nearest other items by distance, nearest first.
        spread: float32 [S], distance to the farthest of them.
        topics: int32 [S], which of at most `_TOPICS` items is nearest.
    """

    vectors: F32
    neighbours: NDArray[np.int32]
    spread: F32
    topics: NDArray[np.int32]

    @classmethod
    def of(cls, vectors: F32, neighbours: int = 8) -> Likeness:
        """Find the neighbourhoods of real items, float32 [S, d]; S^2 distances are computed, not held."""
        k = min(neighbours, len(vectors) - 1)
        near, spread = np.empty((len(vectors), k), np.int32), np.empty(len(vectors), np.float32)
        topics = np.empty(len(vectors), np.int32)
        centres = np.linspace(0, len(vectors) - 1, min(_TOPICS, len(vectors))).astype(np.int64)
        square = np.square(vectors).sum(axis=1)
        for start in range(0, len(vectors), _ROWS):
            rows = slice(start, start + _ROWS)
            distance = square[rows, None] + square[None, :] - 2 * vectors[rows] @ vectors.T
            topics[rows] = distance[:, centres].argmin(axis=1)
            distance[np.arange(len(distance)), np.arange(start, start + len(distance))] = np.inf
            order = np.argsort(distance, axis=1, kind="stable")[:, :k]
            near[rows] = order
            spread[rows] = np.sqrt(np.maximum(np.take_along_axis(distance, order[:, -1:], axis=1)[:, 0], 0))
        return cls(vectors, near, spread, topics)

    def parents(self, items: I64) -> I64:
        """The real item, int64 [n], that each synthetic one is like: they take turns."""
        return np.asarray(items % len(self.vectors))

    def embeddings(self, items: I64, shape: Shape) -> F32:
        """Embeddings float32 [n, d] of synthetic items, from their numbers int64 [n] alone.

        An item lies between its parent p and a neighbour q of it, x = p + a (q - p) + s e, with a uniform up to 1/2 and
        noise e of norm about a tenth of the neighbourhood, and has the norm of its parent. A copy has the numbers of an
        earlier item with the same parent; every second one is exact.
        """
        source = self._copied(items, shape)
        x = self._between(source, shape)
        copies = (source != items) & (uniforms(keys(items, shape.seed), 2, _COPY)[:, 1] < 0.5)
        if copies.any():
            step = 0.01 * self.spread[self.parents(items[copies]), None] / np.sqrt(x.shape[1])
            x[copies] += step * standard_normals(keys(items[copies], shape.seed), x.shape[1], _NOISE)
        return x.astype(np.float32)

    def _between(self, items: I64, shape: Shape) -> F64:
        parents, drawn = self.parents(items), uniforms(keys(items, shape.seed), 2, _MIX)
        dim = self.vectors.shape[1]
        own = self.vectors[parents].astype(np.float64)
        chosen = (drawn[:, 0] * self.neighbours.shape[1]).astype(np.int64)
        other = self.vectors[self.neighbours[parents, chosen]]
        noise = standard_normals(keys(items, shape.seed), dim, _NOISE) / np.sqrt(dim)
        x = own + 0.5 * drawn[:, 1:] * (other - own) + 0.1 * self.spread[parents, None] * noise
        norm = np.linalg.norm(x, axis=1, keepdims=True)
        return np.asarray(x * np.divide(np.linalg.norm(own, axis=1, keepdims=True), norm, where=norm > 0, out=norm))

    def _copied(self, items: I64, shape: Shape) -> I64:
        """The item, int64 [n], whose numbers each has: itself, or one of those before with the same parent."""
        source: I64 = items.copy()
        while True:
            drawn = uniforms(keys(source, shape.seed), 1, _COPY)[:, 0]
            copies = (drawn < shape.near_duplicates) & (source >= len(self.vectors))
            if not copies.any():
                return source
            source[copies] -= len(self.vectors)


def keys(items: I64, seed: int) -> U64:
    """A key, uint64 [n], for each number of an item or user."""
    return np.asarray(items.astype(np.uint64) ^ (np.uint64(seed) << np.uint64(40)))
