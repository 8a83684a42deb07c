"""Made-up SIDs as tables, and plain loops over items that say what is true of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from drq_spark.tokenizer.keys import codes_to_keys

PARTITIONS = (1, 3, 7)


def layouts(names: Iterable[str], often: str) -> list[tuple[str, int]]:
    """Each catalogue with one number of partitions, and one of them with all numbers."""
    once = [(name, PARTITIONS[place % 3]) for place, name in enumerate(names) if name != often]
    return [*once, *((often, partitions) for partitions in PARTITIONS)]


@dataclass(frozen=True)
class Made:
    """Items with codes [n, L], exposure and the number of their embedding, either of which may be None."""

    codes: np.ndarray
    sizes: tuple[int, ...]
    exposure: tuple[float | None, ...]
    embedding: tuple[int | None, ...]

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def keys(self) -> list[int]:
        """SID of every item."""
        return codes_to_keys(self.codes, self.sizes).tolist()

    def sids(self, spark: SparkSession, partitions: int = 1) -> DataFrame:
        """The columns of the sids table that are measured."""
        rows = list(zip(range(len(self)), self.codes.tolist(), self.keys, self.exposure, self.embedding, strict=True))
        schema = "item_id bigint, codes array<int>, sid bigint, exposure double, embedding_hash bigint"
        return spark.createDataFrame(rows, schema).repartition(partitions)


def made(
    items: int, exposure: Sequence[float | None] | None, sizes: tuple[int, ...] = (3, 4), embeddings: int = 12
) -> Made:
    """Items whose codes follow from their embeddings, of which there are few."""
    random = np.random.default_rng(1)
    embedding = random.integers(embeddings, size=items)
    of_embedding = np.stack([random.integers(size, size=embeddings) for size in sizes], axis=1)
    shown = tuple([None] * items if exposure is None else exposure)
    return Made(of_embedding[embedding], sizes, shown, tuple(embedding.tolist()))


def segments(exposure: Sequence[float | None]) -> list[str]:
    """Segment of every item, with exact sums."""
    group = [math.floor(math.log(e) / math.log(2) * 64) if e else None for e in exposure]
    total, carried = sum(Fraction(e) for e in exposure if e), Fraction(0)
    found = ["tail"] * len(exposure)
    for number in sorted({g for g in group if g is not None}, reverse=True):
        here = [place for place, g in enumerate(group) if g == number]
        name = "head" if 3 * carried < total else "torso" if 3 * carried < 2 * total else "tail"
        for place in here:
            found[place] = name
        carried += sum(Fraction(exposure[place] or 0.0) for place in here)
    return found


def sharing(catalogue: Made) -> tuple[list[bool], list[bool]]:
    """Whether another item has the SID of an item; whether one with another embedding has."""
    keys, embedding = catalogue.keys, catalogue.embedding
    same = [[j for j, key in enumerate(keys) if key == keys[i] and j != i] for i in range(len(keys))]
    return [bool(others) for others in same], [
        any(embedding[j] != embedding[i] for j in others) for i, others in enumerate(same)
    ]
