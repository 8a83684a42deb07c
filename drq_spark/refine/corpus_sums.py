"""Sums over a catalogue from which books and tables are solved, exact whatever order the items come in.

Numbers are added as whole multiples of a step, int64, so that a sum depends neither on tasks nor on their order; those
of float64 would differ in their last bits from one cluster to the next, and with them codes. Executors run this, so it
needs numpy and pyarrow only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import floor, log2

import numpy as np
import pyarrow as pa

from drq_spark.arrays import F32, F64, I32, I64
from drq_spark.blocks import row_blocks
from drq_spark.inputs.embeddings import read_embeddings
from drq_spark.ship import Shipped
from drq_spark.tokenizer.model import Tokenizer

Work = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

SUMS = pa.schema(
    {"part": pa.int32(), "key": pa.int64(), "items": pa.int64(), "square": pa.int64(), "latent": pa.list_(pa.int64())}
)
"""Rows with part < L: code `key` of that level, its items, and the sum of their latents. Part L + p: the p-th pair of
levels, `key` = code of the first * K of the second + code of the second, with the items that have both. Part -1: all
items, with the sum of ||z||^2; part -2: items left out because they lie too far away."""

_ALL, _TOO_FAR = -1, -2
_REACH = 2.0**8  # a latent may be so many times as large as the largest of the sample
_BITS = 62
_BLOCK_ELEMENTS = 2**20


@dataclass(frozen=True)
class Steps:
    """What one unit of the whole numbers stands for.

    Attributes:
        largest: Numbers of a latent beyond it, and items with such, are left out.
        latent: Of numbers of a latent. square: Of ||z||^2.
    """

    largest: float
    latent: float
    square: float

    @classmethod
    def of(cls, largest: float, dim: int, items: int) -> Steps:
        """Steps so fine that no sum over `items` items overflows; powers of two.

        Args:
            largest: The largest number of the sample's latents.
            dim: d.
            items: Of the catalogue, at most.
        """
        reach = largest * _REACH
        return cls(reach, _step(reach * items), _step(dim * reach**2 * items))


def _step(largest_sum: float) -> float:
    return float(2.0 ** (floor(log2(largest_sum)) + 1 - _BITS)) if largest_sum > 0 else 1.0


@dataclass(frozen=True)
class Question:
    """What is asked of every item: its codes under a tokenizer, and its latent in whole numbers."""

    tokenizer: Tokenizer
    steps: Steps


class TaskSums:
    """The sums of one task."""

    def __init__(self, question: Question) -> None:
        self._question, sizes = question, question.tokenizer.codebook_sizes
        dim = question.tokenizer.latent_dim
        self._latent = [np.zeros((size, dim), np.int64) for size in sizes]
        self._items = [np.zeros(size, np.int64) for size in sizes]
        self._pairs: list[tuple[I64, I64]] = [(np.empty(0, np.int64), np.empty(0, np.int64))] * pair_count(len(sizes))
        self._count = self._square = self._too_far = 0

    def add(self, x: F32) -> None:
        """Take in prepared embeddings float32 [n, D]."""
        tokenizer, steps = self._question.tokenizer, self._question.steps
        for block in row_blocks(len(x), max(x.shape[1], tokenizer.latent_dim), _BLOCK_ELEMENTS):
            z, encoding = tokenizer.encode_prepared(x[block])
            near = np.abs(z).max(axis=1) <= steps.largest
            self._too_far += int((~near).sum())
            wide, codes = z[near].astype(np.float64), encoding.codes[near]
            self._count += len(wide)
            self._square += int(np.rint(np.square(wide).sum(axis=1) / steps.square).astype(np.int64).sum())
            self._add_latents(np.rint(wide / steps.latent).astype(np.int64), codes)
            self._add_pairs(codes)

    def _add_latents(self, whole: I64, codes: I32) -> None:
        for level, (sums, items) in enumerate(zip(self._latent, self._items, strict=True)):
            if len(codes):
                order = np.argsort(codes[:, level], kind="stable")
                found, first = np.unique(codes[order, level], return_index=True)
                sums[found] += np.add.reduceat(whole[order], first, axis=0)
                items += np.bincount(codes[:, level], minlength=len(items))

    def _add_pairs(self, codes: I32) -> None:
        sizes = self._question.tokenizer.codebook_sizes
        for place, (a, b) in enumerate(combinations(range(len(sizes)), 2)):
            keys = codes[:, a].astype(np.int64) * sizes[b] + codes[:, b]
            self._pairs[place] = _summed(*self._pairs[place], keys, np.ones(len(keys), np.int64))

    def rows(self) -> Iterator[pa.RecordBatch]:
        """The sums as rows of `SUMS`, without codes and pairs that no item has."""
        yield _rows(_ALL, np.zeros(1, np.int64), np.array([self._count]), square=np.array([self._square]))
        yield _rows(_TOO_FAR, np.zeros(1, np.int64), np.array([self._too_far]))
        for level, (sums, items) in enumerate(zip(self._latent, self._items, strict=True)):
            used = np.flatnonzero(items)
            yield _rows(level, used, items[used], latent=sums[used])
        for place, (keys, counts) in enumerate(self._pairs):
            yield _rows(len(self._latent) + place, keys, counts)


def pair_count(levels: int) -> int:
    """Pairs of levels."""
    return levels * (levels - 1) // 2


def adder(shipped: Shipped[Question]) -> Work:
    """For mapInArrow: batches with a column embedding -> `SUMS` of the task."""

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        question = shipped.value()
        tokenizer, sums = question.tokenizer, TaskSums(question)
        for batch in batches:
            sums.add(read_embeddings(batch.column("embedding"), tokenizer.dim, tokenizer.normalize).x)
        yield from sums.rows()

    return work


def merged(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For mapInArrow: rows of `SUMS`, all of a part and key in one partition, added up."""
    table = pa.Table.from_batches(batches, SUMS)
    part = table["part"].to_numpy()
    for value in np.unique(part).tolist():
        rows = table.filter(pa.array(part == value))
        keys, place = np.unique(rows["key"].to_numpy(), return_inverse=True)
        items, square = (_added(rows[name].to_numpy(), place, len(keys)) for name in ("items", "square"))
        flat = rows["latent"].combine_chunks().flatten().to_numpy()
        latent = _added(flat.reshape(len(rows), -1), place, len(keys)) if len(flat) else None
        yield _rows(value, keys, items, square=square, latent=latent)


def _added(values: I64, place: I64, count: int) -> I64:
    total = np.zeros((count, *values.shape[1:]), np.int64)
    np.add.at(total, place, values)
    return total


def _summed(keys: I64, counts: I64, more: I64, more_counts: I64) -> tuple[I64, I64]:
    found, place = np.unique(np.concatenate([keys, more]), return_inverse=True)
    return found, _added(np.concatenate([counts, more_counts]), place, len(found))


def _rows(part: int, keys: I64, items: I64, *, square: I64 | None = None, latent: I64 | None = None) -> pa.RecordBatch:
    flat = np.empty(0, np.int64) if latent is None else latent.reshape(-1)
    width = 0 if latent is None else latent.shape[1]
    starts = pa.array(np.arange(len(keys) + 1) * width, pa.int32())
    return pa.record_batch(
        [
            pa.array(np.full(len(keys), part, np.int32)),
            pa.array(keys),
            pa.array(items),
            pa.array(np.zeros(len(keys), np.int64) if square is None else square),
            pa.ListArray.from_arrays(starts, pa.array(flat)),
        ],
        schema=SUMS,
    )


@dataclass(frozen=True)
class CorpusSums:
    """All sums of a catalogue, N items.

    Attributes:
        items: N. too_far: Items that were left out.
        square: Sum of ||z||^2.
        counts: Per level, int64 [K_l].
        latent: Per level, sums of the latents of each code, float64 [K_l, d].
        pairs: Per pair of levels (a before b), keys int64 [m] and counts int64 [m].
    """

    items: int
    too_far: int
    square: float
    counts: tuple[I64, ...]
    latent: tuple[F64, ...]
    pairs: tuple[tuple[I64, I64], ...]

    @classmethod
    def of(cls, rows: pa.Table, sizes: Sequence[int], dim: int, steps: Steps) -> CorpusSums:
        """Put merged rows of `SUMS` together."""
        part = rows["part"].to_numpy()
        found = {value: rows.filter(pa.array(part == value)) for value in np.unique(part).tolist()}
        counts, latent = [], []
        for level, size in enumerate(sizes):
            count, sums = np.zeros(size, np.int64), np.zeros((size, dim))
            if level in found:
                keys = found[level]["key"].to_numpy()
                count[keys] = found[level]["items"].to_numpy()
                whole = found[level]["latent"].combine_chunks().flatten().to_numpy().reshape(len(keys), dim)
                sums[keys] = whole * steps.latent
            counts.append(count)
            latent.append(sums)
        empty = SUMS.empty_table()
        pairs = [found.get(len(sizes) + place, empty) for place in range(pair_count(len(sizes)))]
        items, squares = (int(found[_ALL][name].to_numpy().sum()) for name in ("items", "square"))
        return cls(
            items=items,
            too_far=int(found[_TOO_FAR]["items"].to_numpy().sum()),
            square=squares * steps.square,
            counts=tuple(counts),
            latent=tuple(latent),
            pairs=tuple((pair["key"].to_numpy(), pair["items"].to_numpy()) for pair in pairs),
        )
