"""An old tokenizer in the space of a new embedding model.

Two embedding models place the same items by other axes, so old books say nothing of new embeddings until one space is
turned into the other. The items that are in both catalogues tell how, and no old embedding is needed: the SIDs that
readers follow decode to the mean old embedding of their items, so with y = x_hat(SID), both sides about their means,

    E[x' y^T] = Q E[y y^T]    where x' = Q x + noise that the codes do not know,

and Q is the orthogonal factor of that cross-covariance (orthogonal Procrustes: Schoenemann 1966). A scale comes with
it: tr(Q^T E[x' y^T]) / tr(E[y y^T]).

The books are turned, not the items: an orthogonal map changes no distance, so the turned books give new embeddings the
codes that the old books give the turned embeddings, and the artifact needs no map of its own. The behaviour encoder is
turned with them. Where the new model has more dimensions the books lie in a part of its space; where it has fewer they
are projected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from drq_spark.arrays import F32, F64, I32
from drq_spark.blocks import row_blocks
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.network import BehaviourEncoder, ContentDecoder


@dataclass(frozen=True)
class SimilarityMap:
    """x' = scale * Q (x - old_mean) + new_mean.

    Attributes:
        turn: Q, float64 [D', D], orthonormal rows or columns.
        scale: Of the new space in units of the old one.
        old_mean: float64 [D].
        new_mean: float64 [D'].
    """

    turn: F64
    scale: float
    old_mean: F64
    new_mean: F64

    def directions(self, rows: F32) -> F32:
        """Differences float32 [n, D] in the new space, [n, D']."""
        return np.asarray(rows.astype(np.float64) @ self.turn.T * self.scale, np.float32)

    def points(self, rows: F32) -> F32:
        """Points float32 [n, D] in the new space, [n, D']."""
        return np.asarray((rows - self.old_mean) @ self.turn.T * self.scale + self.new_mean, np.float32)


def similarity(tokenizer: Tokenizer, x: F32, codes: I32) -> SimilarityMap:
    """The map that brings what SIDs decode to nearest to new embeddings.

    Args:
        tokenizer: The old one.
        x: float32 [n, D'], prepared embeddings by the new model.
        codes: int32 [n, L], old SIDs of the same items.
    """
    new_mean, old_mean = x.mean(axis=0, dtype=np.float64), np.zeros(tokenizer.dim)
    for block in row_blocks(len(x), tokenizer.dim):
        old_mean += tokenizer.decode(codes[block]).sum(axis=0) / len(x)
    cross, square = np.zeros((x.shape[1], tokenizer.dim)), 0.0
    for block in row_blocks(len(x), max(tokenizer.dim, x.shape[1])):
        y = tokenizer.decode(codes[block]) - old_mean
        cross += (x[block] - new_mean).T @ y
        square += float(np.square(y).sum())
    left, singular, right = np.linalg.svd(cross, full_matrices=False)
    scale = float(singular.sum()) / square if square > 0 else 1.0
    return SimilarityMap(left @ right, scale, old_mean, new_mean)


def turned(tokenizer: Tokenizer, by: SimilarityMap) -> Tokenizer:
    """The tokenizer in the new space; `dim` is that of the new model.

    Raises:
        ValueError: its encoder is a network that cannot be turned.
    """
    if tokenizer.encoder is None:
        books = _turned_books(tokenizer.codebooks, by, of_points=True)
        tables = None if tokenizer.tables is None else _turned_books(tokenizer.tables, by, of_points=True)
        prices = _scaled(tokenizer.prices, by.scale)
        return replace(tokenizer, dim=len(by.new_mean), codebooks=books, tables=tables, prices=prices)
    if not isinstance(tokenizer.encoder, BehaviourEncoder):
        raise ValueError(f"the encoder of {tokenizer.kind} cannot be turned")
    return _turned_with_behaviour(tokenizer, tokenizer.encoder, by)


def _turned_with_behaviour(tokenizer: Tokenizer, encoder: BehaviourEncoder, by: SimilarityMap) -> Tokenizer:
    """Content about its mean is turned and scaled; the direction of behaviour stays, scaled alike."""
    network = encoder.network
    shift = by.points(encoder.shift[None])[0]
    turned_network = replace(
        network,
        shift=by.points(network.shift[None])[0],
        linear=(network.linear @ by.turn.T / by.scale).astype(np.float32),
        hidden=(network.hidden @ by.turn.T / by.scale).astype(np.float32),
    )
    dim = len(by.new_mean)
    return replace(
        tokenizer,
        dim=dim,
        codebooks=_turned_books(tokenizer.codebooks, by, of_points=False),
        tables=None if tokenizer.tables is None else _turned_books(tokenizer.tables, by, of_points=False),
        prices=_scaled(tokenizer.prices, by.scale),
        weights=None if tokenizer.weights is None else tuple(_weight(w, tokenizer.dim, dim) for w in tokenizer.weights),
        encoder=replace(encoder, network=turned_network, shift=shift, scale=encoder.scale * np.float32(by.scale)),
        decoder=ContentDecoder(shift, dim + encoder.network.width_out),
    )


def _turned_books(books: tuple[F32, ...], by: SimilarityMap, *, of_points: bool) -> tuple[F32, ...]:
    """Books [K, D + behaviour] -> [K, D' + behaviour]; `of_points`: the first holds points, the others differences."""
    dim, turned_books = by.turn.shape[1], []
    for level, book in enumerate(books):
        content = (by.points if of_points and level == 0 else by.directions)(book[:, :dim])
        behaviour = book[:, dim:] * np.float32(by.scale)
        turned_books.append(np.concatenate([content, behaviour], axis=1))
    return tuple(turned_books)


def _scaled(prices: tuple[F32, ...] | None, scale: float) -> tuple[F32, ...] | None:
    """Prices are squared lengths."""
    return None if prices is None else tuple((price * scale**2).astype(np.float32) for price in prices)


def _weight(weight: F32, old_dim: int, dim: int) -> F32:
    """A diagonal [old_dim + behaviour] whose content part is even, [dim + behaviour]."""
    return np.concatenate([np.full(dim, weight[0], np.float32), weight[old_dim:]])
