"""Behaviour for made-up catalogues: items follow one another where a weak direction of their embeddings agrees."""

from __future__ import annotations

import numpy as np

from drq_spark.arrays import F32, I64
from drq_spark.sample.values import Behaviour, Sample


def sample_of(x: F32, pairs: int = 1000, seed: int = 0) -> Sample:
    """Items with random split keys, and pairs of the items whose last coordinates are near; a fifth is held out."""
    rng = np.random.default_rng((seed, len(x)))
    keys = rng.permutation(len(x)).astype(np.int64)
    chosen = pairs_by(x[:, -1], pairs, rng)
    held_out = len(chosen) // 5
    return Sample(x, "abc", keys, behaviour=Behaviour(x, keys, chosen[held_out:], chosen[:held_out]))


def pairs_by(trait: F32, pairs: int, rng: np.random.Generator, near: float = 0.05) -> I64:
    """Pairs int64 [p, 2] of different items, their ranks by a trait float32 [n] at most a share `near` of n apart."""
    order, items = np.argsort(trait, kind="stable"), len(trait)
    reach = max(1, int(near * items))
    first = rng.integers(0, items, pairs)
    second = (first + rng.integers(1, reach + 1, pairs)) % items
    return order[np.stack([first, second], axis=1)[first != second]]
