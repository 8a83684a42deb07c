"""The compiled search over a tokenizer's codebooks, tile by tile. Importing it imports numba and the compiled code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from drq_spark.arrays import F32, F64, I32, I64
from drq_spark.blocks import row_blocks
from drq_spark.tokenizer.encoding import Encoding
from drq_spark.tokenizer.fast.account_pass import account_rows
from drq_spark.tokenizer.fast.exact_squares import summation_plan
from drq_spark.tokenizer.fast.level_pass import extend
from drq_spark.tokenizer.fast.margin_pass import finish
from drq_spark.tokenizer.fast.pass_arrays import Beam, Books, aligned, empty_beam, placed
from drq_spark.tokenizer.fast.products import NUMPY, Multiplier, Product
from drq_spark.tokenizer.fast.ranking_pass import LIST_KEYS, rank_block
from drq_spark.tokenizer.fast.row_pass import centre_rows, residual_rows
from drq_spark.tokenizer.fast.score_tables import prepare_tables, same_metric
from drq_spark.tokenizer.kernel import Level
from drq_spark.tokenizer.reconstruction_sums import ReconstructionSums, sums_of_products


@dataclass(frozen=True)
class _Block:
    """An operand, or a part of its codes: the product with it, and how many columns that has."""

    product: Product
    width: int


@dataclass(frozen=True)
class _Room:
    """Buffers of one call, for tiles of up to `rows` rows."""

    rows: int
    beam: Beam
    zeta: F32
    products: F32
    scores: F32
    lists: F32


class FastSearch:
    """Codebooks made ready for the compiled search.

    Args:
        levels: The codebooks.
        width: Paths that are kept, 1 = greedy; at most `kernel_choice.WIDEST_BEAM`.
        multiplier: What makes the products, in float32: time alone depends on it.
    """

    def __init__(self, levels: Sequence[Level], width: int, multiplier: Multiplier = NUMPY) -> None:
        self._multiplier = multiplier
        self._width, self._sizes = width, [len(level.codewords) for level in levels]
        dim = levels[0].codewords.shape[1]
        ones = np.ones(dim, np.float32)
        weights = placed(np.stack([ones if level.weight is None else level.weight for level in levels]))
        weighed = any(level.weight is not None for level in levels)
        self._books = Books(
            words=placed(np.concatenate([level.codewords for level in levels])),
            first=np.cumsum([0, *self._sizes])[:-1].astype(np.int64),
            price=np.concatenate([level.price for level in levels]),
            weights=weights if weighed else weights[:0],
            plan=summation_plan(dim),
        )
        least = np.array([level.least_price for level in levels])
        self._least = least if width == 1 else np.cumsum(least)  # of all levels of a path, where paths compete
        self._tables = prepare_tables(levels, width)
        self._new_metric = [not same_metric(levels, at, at + 1) for at in range(len(levels) - 1)]
        self._columns = np.cumsum([0, *(len(ranking.offset) for ranking in self._tables.levels)])
        parts = [self._parts(ranking.operand, index) for index, ranking in enumerate(self._tables.levels)]
        self._is_joined = self._tables.crossed and dim >= multiplier.long_row and all(len(part) == 1 for part in parts)
        if self._is_joined:
            joined = np.concatenate([ranking.operand for ranking in self._tables.levels], axis=1)
            parts = [[placed(joined)]]
        blocks = [[_Block(multiplier.product(one), one.shape[1]) for one in part] for part in parts]
        self._blocks = blocks * len(levels) if self._is_joined else blocks

    def encode(self, z: F32, *, reach: bool) -> Encoding:
        """What `encoding.encode_in_numpy` gives for latents z, float32 [n, d], finite."""
        n, levels = len(z), len(self._sizes)
        result = Encoding(
            codes=np.empty((n, levels), np.int32),
            margin=np.empty((n, levels), np.float32),
            residual_square=np.empty((n, levels)),
            reach=np.empty(n if reach else 0),
            uncertain=np.zeros(levels, np.int64),
            compiled=n,
            on_gpu=n if self._multiplier.on_gpu else 0,
        )
        for tile, rows, room in self._tiles(z):
            result.uncertain[:] += self._search(rows, room, rivals=True, reach=reach)
            result.codes[tile] = room.beam.codes[: len(rows), 0]
            finish(
                rows, self._books, room.beam, self._least, self._width == 1, result.margin[tile],
                result.residual_square[tile], result.reach[tile],
            )  # fmt: skip
        return result

    def codes(self, z: F32) -> I32:
        """The codes of `encode` alone, int32 [n, L]: no level has to know the cheapest extension that it drops."""
        codes = np.empty((len(z), len(self._sizes)), np.int32)
        for tile, rows, room in self._tiles(z):
            self._search(rows, room, rivals=False, reach=False)
            codes[tile] = room.beam.codes[: len(rows), 0]
        return codes

    def reconstruction_sums(self, x: F32, tables: Sequence[F32], codes: I32, anchor: F64) -> ReconstructionSums:
        """`reconstruction_sums.sums_in_numpy` of rows that are their own latents, and decoded by tables [K, d]."""
        error, square, offset = np.empty(x.shape), np.empty(x.shape), np.zeros(x.shape[1])
        products = np.empty((len(x), 3))
        words, books = np.concatenate(tables), self._books
        account_rows(_fixed(x), words, books.first, codes, anchor, books.plan, error, square, offset, products)
        return sums_of_products(error, square, offset, products)

    def _tiles(self, z: F32) -> Iterator[tuple[slice, F32, _Room]]:
        """Places and rows of each tile, with the room for it."""
        z = _fixed(z)
        room = self._room(len(z))
        for tile in row_blocks(len(z), 1, room.rows):
            yield tile, z[tile], room

    def _search(self, rows: F32, room: _Room, *, rivals: bool, reach: bool) -> I64:
        """Leave the winners of a tile in `room.beam`; rows that each level decided in float64, [L]."""
        n, paths, beam = len(rows), 1, room.beam
        uncertain = np.zeros(len(self._sizes), np.int64)
        beam.base[:n, 0], beam.paid[:n, 0], beam.loose[:n] = 0, 0, 0
        centre_rows(rows, self._tables.centre, room.zeta, beam.norm)
        for index, size in enumerate(self._sizes):
            keep = 1 if index == len(self._sizes) - 1 else self._width
            per_path = index > 0 and not self._tables.crossed
            if per_path:
                residual_rows(rows, self._books, beam, paths, index, room.zeta)
            rebase = keep > 1 and (not self._tables.crossed or self._new_metric[index])
            products = self._products(room, index, n * paths if per_path else n)
            column = self._columns[index] if self._is_joined else 0
            uncertain[index] = extend(
                products, column, per_path, self._tables.levels[index], size, index, paths, keep, keep + rivals, rebase,
                reach, rows, self._books, beam, room.scores, room.lists, len(self._blocks[index]) > 1, room.zeta,
            )  # fmt: skip
            paths = min(keep, paths * size)
        return uncertain

    def _products(self, room: _Room, index: int, count: int) -> F32:
        """zeta times the operand, [count, padded]; with more than one block the keys are made of it and it is gone.

        Joined operands are multiplied once, on the first level, and give [count, padded of all levels].
        """
        blocks = self._blocks[index]
        for at, block in enumerate(blocks):
            products = room.products[: count * block.width].reshape(count, block.width)
            if index == 0 or not self._is_joined:
                block.product(room.zeta[:count], products)
            if len(blocks) > 1:
                rank_block(products, self._tables.levels[index].offset, at * self._multiplier.codes, room.lists)
        return products

    def _parts(self, operand: F32, index: int) -> list[F32]:
        """The operand in blocks of codes where a row has one path and no table; else as it is."""
        alone, codes = self._width == 1 and (index == 0 or not self._tables.crossed), self._multiplier.codes
        if not alone or operand.shape[1] <= codes:
            return [operand]
        return [placed(operand[:, at : at + codes]) for at in range(0, operand.shape[1], codes)]

    def _room(self, n: int) -> _Room:
        padded = max(len(ranking.offset) for ranking in self._tables.levels)
        products = 1 if self._tables.crossed else self._width
        rows = max(min(self._multiplier.rows_of_tile(self._width, padded * products), n), 1)
        columns = int(self._columns[-1]) if self._is_joined else products * padded
        return _Room(
            rows=rows,
            beam=empty_beam(rows, self._width, len(self._sizes)),
            zeta=self._multiplier.room(rows * products, self._books.words.shape[1]),
            products=self._multiplier.room(rows * columns),
            scores=aligned(self._width * padded),
            lists=aligned(rows, LIST_KEYS),
        )


def _fixed(rows: F32) -> F32:
    """A read-only contiguous view, so that all that comes has one type; a copy of strided rows."""
    view: F32 = np.ascontiguousarray(rows).view()
    view.flags.writeable = False
    return view
