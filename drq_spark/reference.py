"""The whole of encoding and decoding on one page, for people to read and for the tests to compare with.

An artifact is two files, see docs/artifact-format.md. From them this page makes a semantic ID (SID) of an embedding and
an embedding of a SID, one item at a time and in float64, with nothing of the package and nothing that is fast:

    embedding  ->  x, divided by its norm for "l2"  ->  z = encoder(x)
    level by level: the codeword nearest to what is left of z gives the code and is taken off
    codes  ->  z_q, the sum of their rows in the decode tables  ->  x_hat = decoder(z_q)

Prices make codes dearer than their distance, weights say how much each coordinate of the distance counts, and a beam
follows several paths until the last level decides. `drq_spark.tokenizer` gives the same codes for millions of items.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class SidPath:
    """The codes chosen so far, and what is known about the choice.

    Attributes:
        codes: One number a level, from 0.
        cost: Squared weighted distance at the newest level, plus the prices of all codes.
        residual: What the codewords leave of z.
        paid: The prices of all codes.
        distance: The squared weighted distance alone.
        left: Of every level, the square of the residual in the weights of the last level.
        margins: Of every level, how far the path was from being dropped.
    """

    codes: tuple[int, ...]
    cost: float
    residual: Vector
    paid: float = 0.0
    distance: float = 0.0
    left: tuple[float, ...] = ()
    margins: tuple[float, ...] = ()


@dataclass(frozen=True)
class Artifact:
    """A tokenizer as its two files hold it; the lists have one entry a level."""

    header: dict[str, Any]
    tensors: dict[str, Vector]
    codebooks: list[Vector]
    prices: list[Vector]
    weights: list[Vector]
    tables: list[Vector]

    @classmethod
    def read(cls, folder: Path) -> Artifact:
        """Read both files; what they lack becomes prices of 0, weights of 1, codebooks as their own decode tables."""
        header = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        loaded = load_file(folder / "weights.safetensors")
        tensors = {name: tensor.astype(np.float64) for name, tensor in loaded.items()}
        levels = range(header["levels"])
        books = [tensors[f"codebook.{level}"] for level in levels]
        prices = [tensors.get(f"price.{level}", np.zeros(len(books[level]))) for level in levels]
        weights = [tensors.get(f"weight.{level}", np.ones(header["latent_dim"])) for level in levels]
        tables = [tensors.get(f"table.{level}", books[level]) for level in levels]
        return cls(header, tensors, books, prices, weights, tables)

    def prepared(self, embedding: NDArray[np.floating]) -> Vector:
        """x: float32 numbers, divided by their norm where the artifact says "l2"."""
        x = embedding.astype(np.float32).astype(np.float64)
        if self.header["normalize"] == "l2":
            x = x / np.sqrt((x * x).sum())
        return x.astype(np.float32).astype(np.float64)

    def encode(self, embedding: NDArray[np.floating]) -> SidPath:
        """The path that wins: at every level the cheapest stay, the lower codes first where costs are equal."""
        paths = [SidPath(codes=(), cost=0.0, residual=self.latent(self.prepared(embedding)))]
        for level in range(len(self.codebooks)):
            grown = [longer for path in paths for longer in self.extensions(path, level)]
            grown.sort(key=lambda path: (path.cost, path.codes))
            keep = 1 if level == len(self.codebooks) - 1 else self.header["beam"]
            rival = grown[keep] if keep < len(grown) else None
            paths = [replace(path, margins=(*path.margins, _margin(path, rival))) for path in grown[:keep]]
        return paths[0]

    def extensions(self, path: SidPath, level: int) -> list[SidPath]:
        """The path with each code of the next level, in the order of the codes."""
        longer = []
        for code, (codeword, price) in enumerate(zip(self.codebooks[level], self.prices[level].tolist(), strict=True)):
            residual = path.residual - codeword
            distance = float(np.square(self.weights[level] * residual).sum())
            left = float(np.square(self.weights[-1] * residual).sum())
            cost, paid = distance + price + path.paid, path.paid + price
            codes, lefts = (*path.codes, code), (*path.left, left)
            longer.append(SidPath(codes, cost, residual, paid, distance, lefts, path.margins))
        return longer

    def key(self, codes: Sequence[int]) -> int:
        """The codes as one number, so that SIDs with the same first codes lie side by side."""
        key = 0
        for book, code in zip(self.codebooks, codes, strict=True):
            key = key * len(book) + code
        return key

    def decode(self, codes: Sequence[int]) -> Vector:
        """x_hat: what the codes alone say of x."""
        z_q = sum((table[code] for table, code in zip(self.tables, codes, strict=True)), np.zeros(len(self.weights[0])))
        if self.header["decoder"] == "content":
            return np.asarray(z_q[: self.header["dim"]] + self.tensors["decoder.shift"])
        return self._network("decoder", z_q) if self.header["decoder"] == "residual_mlp" else z_q

    def latent(self, x: Vector) -> Vector:
        """z: x itself, a network of it, or the content of x and after it a direction learned from behaviour."""
        if self.header["encoder"] == "identity":
            return x
        if self.header["encoder"] == "residual_mlp":
            z = self._network("encoder", x)
        else:
            u = self._network("encoder.network", x)
            direction = u / np.sqrt((u * u).sum()) if u.any() else u
            behaviour = self.tensors["encoder.scale"] * (direction - self.tensors["encoder.centre"])
            z = np.concatenate([x - self.tensors["encoder.shift"], behaviour])
        largest = np.finfo(np.float32).max
        return z.clip(-largest, largest).astype(np.float32).astype(np.float64)

    def _network(self, name: str, x: Vector) -> Vector:
        """A linear map, corrected by one hidden layer: linear u + out silu(hidden (scale u) + hidden_bias) + bias."""
        u = x - self.tensors[f"{name}.shift"]
        v = self.tensors[f"{name}.hidden"] @ (self.tensors[f"{name}.scale"] * u) + self.tensors[f"{name}.hidden_bias"]
        silu = v / (1 + np.exp(-v))
        linear, out = self.tensors[f"{name}.linear"] @ u, self.tensors[f"{name}.out"] @ silu
        return np.asarray(linear + out + self.tensors[f"{name}.bias"])


def _margin(path: SidPath, rival: SidPath | None) -> float:
    """How much dearer the cheapest dropped path is, in its own distance: 1 where nothing was dropped; a float32."""
    if rival is None:
        return 1.0
    return float(np.float32((rival.cost - path.cost) / rival.distance)) if rival.distance > 0 else 0.0
