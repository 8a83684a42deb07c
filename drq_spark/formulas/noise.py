"""Seeded noise per item: counter-based, so that a row depends on its own key alone, whatever comes with it.

Number c of a key's stream t is mix(state + (c + 1) g), state = mix(mix(t + g) ^ key), g the odd constant of splitmix64:
a splitmix64 generator per key and stream. Executors run it, so it needs numpy only.

Source: Steele, Lea and Flood 2014, Fast splittable pseudorandom number generators (splitmix64).
"""

from __future__ import annotations

import numpy as np

from drq_spark.arrays import F32, F64, U64

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_DIRECTION = 2**32  # the stream of `isotropic`, apart from the small numbers that callers choose


def uniforms(keys: U64, dim: int, stream: int) -> F64:
    """Numbers inside (0, 1), float64 [n, dim], from keys uint64 [n]; 53 bits each.

    The first columns do not depend on dim. Streams (from 0) are independent of each other.

    >>> uniforms(np.array([7], np.uint64), 3, 0).round(4).tolist()
    [[0.4813, 0.6649, 0.5761]]
    """
    state = _mix(_mix(np.array([stream], np.uint64) + _GOLDEN) ^ np.asarray(keys, np.uint64))
    hashed = _mix(state[:, None] + np.arange(1, dim + 1, dtype=np.uint64) * _GOLDEN)
    return np.asarray(((hashed >> np.uint64(11)).astype(np.float64) + 0.5) / float(2**53))


def standard_normals(keys: U64, dim: int, stream: int) -> F64:
    """Independent standard normals, float64 [n, dim], from keys uint64 [n]; see `uniforms`.

    Box and Muller 1958: sqrt(-2 ln u) (cos, sin)(2 pi v) for every pair of uniforms u, v. About five arrays of the size
    of the result are held meanwhile: callers pass blocks of rows.

    >>> standard_normals(np.array([7], np.uint64), 3, 0).round(4).tolist()
    [[-0.6164, -1.0404, 0.8856]]
    """
    pairs = uniforms(keys, 2 * ((dim + 1) // 2), stream)
    radius = np.sqrt(-2.0 * np.log(np.ascontiguousarray(pairs[:, 0::2])))
    angle = 2.0 * np.pi * np.ascontiguousarray(pairs[:, 1::2])
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=2).reshape(pairs.shape)[:, :dim]


def isotropic(keys: U64, dim: int) -> F64:
    """Directions without preference: unit rows g / ||g||, g standard normal, float64 [n, dim], from keys uint64 [n].

    >>> float(np.square(isotropic(np.array([7], np.uint64), 5)).sum().round(12))
    1.0
    """
    rows = standard_normals(keys, dim, _DIRECTION)
    return np.asarray(rows / np.sqrt(np.square(rows).sum(axis=1, keepdims=True)))


def noisy(x: F32, direction: F64, rho: float) -> F64:
    """x' = x + rho ||x|| u: float64 [n, D] of rows x [n, D] and directions u [n, D], see `isotropic`.

    Numbers beyond the largest float32 are the caller's concern: rows with such numbers must not be encoded anew, and
    where a displacement is measured they count with the largest number.

    >>> noisy(np.array([[3.0, 4.0]], np.float32), np.array([[0.0, 1.0]]), 0.5).tolist()
    [[3.0, 6.5]]
    """
    wide = x.astype(np.float64)
    norm = np.sqrt(np.square(wide).sum(axis=1, keepdims=True))
    return np.asarray(wide + rho * norm * direction)


def _mix(state: U64) -> U64:
    """The output function of splitmix64: every bit of 64 depends on every other; sums wrap around."""
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return np.asarray(state ^ (state >> np.uint64(31)))
