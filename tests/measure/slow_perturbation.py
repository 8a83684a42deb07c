"""The perturbation test a second time: item by item, float64, exhaustive search over paths; shares the noise alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from drq_spark.formulas.noise import isotropic, standard_normals
from drq_spark.tokenizer import Tokenizer

Codes = tuple[int, ...]
Flip = tuple[str, float | None, Any, Codes, Codes]


def encode(tokenizer: Tokenizer, latent: np.ndarray) -> Codes:
    """Codes of one latent, by sorting all extensions of all paths."""
    levels = range(len(tokenizer.codebooks))
    paths: list[tuple[float, Codes]] = [(0.0, ())]
    for level in levels:
        grown = []
        for _, codes in paths:
            for code in range(len(tokenizer.codebooks[level])):
                path = (*codes, code)
                left, paid = latent.astype(np.float64), 0.0
                for index, chosen in enumerate(path):
                    left = left - tokenizer.codebooks[index][chosen]
                    paid += 0.0 if tokenizer.prices is None else float(tokenizer.prices[index][chosen])
                weight = np.ones(len(left)) if tokenizer.weights is None else tokenizer.weights[level]
                grown.append((float(np.square(weight * left).sum()) + paid, path))
        paths = sorted(grown)[: tokenizer.beam]
    return paths[0][1]


def latent(tokenizer: Tokenizer, x: np.ndarray) -> np.ndarray | None:
    """z of one raw item, None where it is not usable."""
    narrow = x.astype(np.float32)
    if not np.isfinite(narrow).all():
        return None
    if tokenizer.normalize == "l2":
        norm = math.sqrt(sum(float(value) ** 2 for value in narrow))
        if norm == 0:
            return None
        narrow = (narrow.astype(np.float64) / norm).astype(np.float32)
    return tokenizer.latent(narrow[None])[0]


def flips(
    tokenizer: Tokenizer,
    vectors: Mapping[Any, np.ndarray],
    keys: Mapping[Any, int],
    etas: Sequence[float],
    rhos: Sequence[float],
    after: Mapping[Any, np.ndarray],
) -> Iterator[Flip]:
    """(ruler, eta, item, codes before, codes after) of every usable item and perturbation."""
    weight = np.ones(tokenizer.latent_dim) if tokenizer.weights is None else tokenizer.weights[-1]
    for item, x in vectors.items():
        z, key = latent(tokenizer, x), np.array([keys[item] % 2**64], np.uint64)
        before = encode(tokenizer, z)
        normals = standard_normals(key, len(z), 0)[0]
        noise = [number / w if w else 0.0 for number, w in zip(normals, weight, strict=True)]
        for eta in etas:
            moved = (z + eta * tokenizer.latent_rms[-1] * np.array(noise)).astype(np.float32)
            yield "latent", eta, item, before, encode(tokenizer, moved)
        direction = isotropic(key, len(x))[0]
        for rho in rhos:
            moved = latent(tokenizer, x + rho * math.sqrt(sum(float(v) ** 2 for v in x)) * direction)
            if moved is not None:
                yield "input", rho, item, before, encode(tokenizer, moved)
        if item in after and (moved := latent(tokenizer, after[item])) is not None:
            yield "after", None, item, before, encode(tokenizer, moved)


def rates(found: Sequence[Flip], weight: Mapping[Any, float], weighting: str) -> dict[Any, float]:
    """(metric, level, weighting, ruler, eta) -> value."""
    total: Counter[Any] = Counter()
    flipped: Counter[Any] = Counter()
    for ruler, eta, item, before, after in found:
        for level in range(len(before) + 1):
            name = "flip_rate" if level else "sid_survival"
            differs = before[level - 1] != after[level - 1] if level else before == after
            total[name, level, weighting, ruler, eta] += weight[item]
            flipped[name, level, weighting, ruler, eta] += weight[item] * differs
    return {key: flipped[key] / total[key] for key in total if total[key]}


def confusion(found: Sequence[Flip]) -> Counter[Any]:
    """(level, ruler, eta, code, other) -> items."""
    return Counter(
        (level, ruler, eta, old, new)
        for ruler, eta, _, before, after in found
        for level, (old, new) in enumerate(zip(before, after, strict=True), start=1)
        if old != new
    )
