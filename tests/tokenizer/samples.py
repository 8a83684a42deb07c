"""Tokenizers for tests, made of integers: no stream of random numbers that could change."""

from __future__ import annotations

from typing import Any

import numpy as np

from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.network import BehaviourEncoder, ContentDecoder, ResidualMLP


def pattern(*shape: int, start: int = 0, step: int = 7919, scale: float = 1 / 64) -> np.ndarray:
    """float32 values that look random and are exact: small integers over a power of two."""
    count = int(np.prod(shape))
    mixed = (np.arange(start, start + count, dtype=np.int64) * step + 104729) ** 2 % 509 - 254
    return (mixed * scale).astype(np.float32).reshape(shape)


def network(n_in: int, n_out: int, hidden: int = 5, start: int = 0) -> ResidualMLP:
    return ResidualMLP(
        shift=pattern(n_in, start=start),
        linear=pattern(n_out, n_in, start=start + 100, scale=1 / 512),
        bias=pattern(n_out, start=start + 200),
        scale=np.array([0.25], np.float32),
        hidden=pattern(hidden, n_in, start=start + 300, scale=1 / 256),
        hidden_bias=pattern(hidden, start=start + 400, scale=1 / 256),
        out=pattern(n_out, hidden, start=start + 500, scale=1 / 512),
    )


def plain(latent: int = 6, sizes: tuple[int, ...] = (8, 5, 4), **other: Any) -> Tokenizer:
    """Without encoder: codebooks whose spread falls from level to level."""
    books = tuple(
        pattern(size, latent, start=1000 * level, scale=2.0 ** -(6 + level)) for level, size in enumerate(sizes)
    )
    values = {
        "kind": "plain",
        "dim": latent,
        "normalize": "none",
        "codebooks": books,
        "latent_rms": (1.5,) * len(sizes),
    }
    return Tokenizer(**{**values, **other})


def full(dim: int = 6, latent: int = 3, sizes: tuple[int, ...] = (8, 5, 4), **other: Any) -> Tokenizer:
    """With everything a tokenizer can have."""
    return plain(
        latent,
        sizes,
        **{
            "kind": "full",
            "dim": dim,
            "normalize": "l2",
            "prices": tuple(pattern(size, start=2000 + level, scale=1 / 1024) for level, size in enumerate(sizes)),
            "tables": tuple(pattern(size, latent, start=3000 + level) for level, size in enumerate(sizes)),
            "encoder": network(dim, latent, start=10),
            "decoder": network(latent, dim, start=20),
            "training": {"seed": 3, "loss": [0.5, 0.25], "library": {"numpy": "x"}, "note": "Größe\n"},
            **other,
        },
    )


def behaving(dim: int = 4, sizes: tuple[int, ...] = (8, 5, 4), **other: Any) -> Tokenizer:
    """With a behaviour part of three numbers, weights, prices and a beam."""
    encoder = BehaviourEncoder(
        network(dim, 3, start=30), pattern(dim, start=40), pattern(3, start=50), pattern(1, start=61)
    )
    weight = np.concatenate([np.ones(dim, np.float32), np.full(3, 0.5, np.float32)])
    weights = (weight, np.where(weight < 1, np.float32(0), weight), weight)
    prices = tuple(pattern(size, start=2000 + level, scale=1 / 1024) for level, size in enumerate(sizes))
    tables = tuple(pattern(size, dim + 3, start=3000 + level) for level, size in enumerate(sizes))
    values: dict[str, Any] = {
        "kind": "behaving", "dim": dim, "prices": prices, "weights": weights, "beam": 3, "tables": tables,
        "encoder": encoder, "decoder": ContentDecoder(encoder.shift, dim + 3), "latent_rms": (1.5, 1.25, 1.5),
    }  # fmt: skip
    return plain(dim + 3, sizes, **{**values, **other})


def rows(n: int, dim: int = 6) -> np.ndarray:
    return pattern(n, dim, start=5000, step=6101)


FORMS = [
    plain(),
    plain(normalize="l2"),
    full(),
    full(prices=None, tables=None),
    full(encoder=None, decoder=None, dim=3),
    behaving(),
    plain(beam=4),
]
