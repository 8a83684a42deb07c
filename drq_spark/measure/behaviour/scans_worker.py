"""Turns Arrow batches of items or SIDs into counts and the best candidates of every query.

A scan answers all questions in one pass: every row is compared with all queries by one product of matrices a block.
Each task leaves one row of sums and one row of candidates a query; rows of several tasks are merged by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drq_spark.arrays import F32, F64
from drq_spark.formulas import ranking
from drq_spark.inputs.embeddings import list_column, read_embeddings
from drq_spark.ship import Shipped
from drq_spark.tokenizer.keys import keys_to_codes
from drq_spark.tokenizer.model import Normalize, Tokenizer, normalized
from drq_spark.vectors import unit_rows

Batches = Iterator[pa.RecordBatch]

KEEP = 201  # 200 candidates and the query itself
SUMS = -1  # in the place of a query: the row of sums
_BLOCK_ELEMENTS = 2**21  # float64 numbers of a block of rows or of its scores
_SPARE_ROWS = 2**16  # candidates beyond the best before they are looked through


@dataclass(frozen=True)
class Questions:
    """What is asked of every row.

    Attributes:
        left: float64 [P, D], unit vectors of the queries of P pairs.
        target: float64 [P], cosine of each pair.
        query: float64 [Q, D], unit vectors of the Q queries whose best candidates are wanted.
    """

    left: F64
    target: F64
    query: F64


def items_schema(id_type: pa.DataType) -> pa.Schema:
    """What a scan of the items tells: a row of sums, and a row of candidates a query."""
    return _schema({"score": pa.float64(), "key": pa.int64(), "item_id": id_type, "sums": pa.float64()})


def scanned_schema(id_type: pa.DataType) -> pa.Schema:
    """What a scan of the items leaves: rows of `items_schema`, and sid and embedding of wanted items."""
    vectors = {"sid": pa.int64(), "embedding": pa.list_(pa.float32())}
    return pa.schema([*items_schema(id_type), *pa.schema(vectors)])


def sids_schema() -> pa.Schema:
    """What a scan of the SIDs leaves."""
    return _schema({"score": pa.float64(), "weight": pa.float64(), "sums": pa.float64()})


def _schema(lists: Mapping[str, pa.DataType]) -> pa.Schema:
    return pa.schema({"query": pa.int32(), **{name: pa.list_(kind) for name, kind in lists.items()}})


class Candidates:
    """Candidates of all queries, cut down to the best whenever there are many: query, score, and more columns.

    Args:
        queries: Q.
        shorten: Cuts a table of candidates down to what can still be among the best, query after query.
    """

    def __init__(self, queries: int, shorten: Callable[[pa.Table], pa.Table]) -> None:
        self._queries, self._shorten = queries, shorten
        self._parts: list[pa.Table] = []
        self._rows, self._bound = 0, _SPARE_ROWS
        self.cut = np.full(queries, -np.inf)

    def add(self, part: pa.Table) -> None:
        """Take in more candidates."""
        self._parts.append(part)
        self._rows += len(part)
        if self._rows > self._bound:
            self._cut_down()

    def look_at(self, scores: F64) -> None:
        """Raise the cut by the scores [n, Q] of a block, while it lets everything pass.

        A row stands for one item or more, so whatever is below the best `KEEP` rows of a block is not among the best.
        """
        if len(scores) > KEEP and np.isneginf(self.cut).any():
            self.cut = np.maximum(self.cut, np.partition(scores, -KEEP, axis=0)[-KEEP])

    def lists(self) -> pa.Table | None:
        """One row a query that has candidates: query, and a list per other column; None where no query has any."""
        if not self._rows:
            return None
        best = self._cut_down()
        counts = np.bincount(best["query"].to_numpy(), minlength=self._queries)
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts[counts > 0])]), pa.int32())
        columns = {"query": pa.array(np.flatnonzero(counts), pa.int32())}
        for name in best.column_names[1:]:
            columns[name] = pa.ListArray.from_arrays(offsets, best[name].combine_chunks())
        return pa.table(columns)

    def _cut_down(self) -> pa.Table:
        best = self._shorten(pa.concat_tables(self._parts))
        self._parts, self._rows, self._bound = [best], len(best), 2 * len(best) + _SPARE_ROWS
        query, score = best["query"].to_numpy(), best["score"].to_numpy()
        weight = best["weight"].to_numpy() if "weight" in best.column_names else np.ones(len(best))
        self.cut = ranking.cuts(query, score, weight, KEEP, self._queries)
        return best


def nearest_items(found: pa.Table) -> pa.Table:
    """The best items (query, score, key, item_id) of every query."""
    query, score, key = (found[name].to_numpy() for name in ("query", "score", "key"))
    return found.take(pa.array(ranking.best(query, score, key, KEEP)))


def nearest_ties(found: pa.Table) -> pa.Table:
    """The best ties (query, score, weight) of every query."""
    names = ("query", "score", "weight")
    query, score, weight = (found[name].to_numpy() for name in names)
    return pa.table(dict(zip(names, ranking.tied_weights(query, score, weight, KEEP), strict=True)))


class Scan:
    """The answers that one task has so far.

    Args:
        questions: What is asked.
        more: Number of further sums.
        candidates: Candidates of the questions' queries.
    """

    def __init__(self, questions: Questions, more: int, candidates: Candidates) -> None:
        self._questions, self._candidates = questions, candidates
        self._all = np.concatenate([questions.left, questions.query]).T
        self.better, self.ties = np.zeros((2, len(questions.left)))
        self.more = np.zeros(more)

    def blocks(self, rows: int) -> Iterator[slice]:
        """Slices over rows that keep a block and its scores small."""
        step = max(64, _BLOCK_ELEMENTS // max(1, *self._all.shape))
        return (slice(start, min(start + step, rows)) for start in range(0, rows, step))

    def add(self, vectors: F64, weight: F64, columns: Mapping[str, pa.Array]) -> None:
        """Compare one block with all queries.

        Args:
            vectors: [n, D], unit rows.
            weight: [n], items that each stands for.
            columns: [n] each, what candidates have beside query and score.
        """
        scores, pairs, target = vectors @ self._all, len(self.better), self._questions.target
        better = weight @ (scores[:, :pairs] > target + ranking.TIE)
        self.better += better
        self.ties += weight @ (scores[:, :pairs] >= target - ranking.TIE) - better
        near = scores[:, pairs:]
        self._candidates.look_at(near)
        rows, query = np.nonzero(near >= self._candidates.cut - ranking.TIE)
        found = {"query": pa.array(query), "score": pa.array(scores[rows, pairs + query])}
        own = {name: column.take(pa.array(rows)) for name, column in columns.items()}
        self._candidates.add(pa.table({**found, **own}))

    def sums(self) -> F64:
        """better [P], ties [P], and what was summed beside them."""
        return np.concatenate([self.better, self.ties, self.more])


def item_scanner(shipped: Shipped[Questions], dim: int, normalize: Normalize) -> Callable[[Batches], Batches]:
    """For mapInArrow: (item_id, key, embedding, sid) -> `scanned_schema`; rows without a usable embedding are left out.

    The further sums are the number of items and the sum of their prepared embeddings [D]. Embeddings of items whose sid
    is not NULL are left as they came.
    """

    def scan(batches: Batches) -> Batches:
        questions = shipped.value()
        candidates = Candidates(len(questions.query), nearest_items)
        state, id_type = Scan(questions, 1 + dim, candidates), None
        for batch in batches:
            found = read_embeddings(batch.column("embedding"), dim, normalize)
            usable, id_type = pa.array(found.usable), batch.schema.field("item_id").type
            ids, keys, sids = (batch.column(name).filter(usable) for name in ("item_id", "key", "sid"))
            for block in state.blocks(len(found.x)):
                x = normalized(found.x[block], normalize)
                state.more += np.concatenate([[len(x)], x.sum(axis=0, dtype=np.float64)])
                state.add(unit_rows(x), np.ones(len(x)), {"key": keys[block], "item_id": ids[block]})
            yield from _vectors(sids, found.x, scanned_schema(id_type))
        if id_type is not None:
            yield from _leave(state.sums(), candidates, scanned_schema(id_type))

    return scan


def sid_scanner(shipped: Shipped[tuple[Questions, Tokenizer]]) -> Callable[[Batches], Batches]:
    """For mapInArrow: (sid, items), every SID once -> `sids_schema`; the rows compared are the reconstructions x_hat.

    The further sums are the items of every code, level after level.
    """

    def scan(batches: Batches) -> Batches:
        questions, tokenizer = shipped.value()
        sizes = tokenizer.codebook_sizes
        candidates = Candidates(len(questions.query), nearest_ties)
        state, seen = Scan(questions, sum(sizes), candidates), False
        for batch in batches:
            codes = keys_to_codes(batch.column("sid").to_numpy(), sizes)
            items = batch.column("items").to_numpy().astype(np.float64)
            seen = True
            for block in state.blocks(len(codes)):
                weight, own = items[block], codes[block]
                usage = [np.bincount(own[:, level], weight, size) for level, size in enumerate(sizes)]
                state.more += np.concatenate(usage)
                state.add(unit_rows(tokenizer.decode(own)), weight, {"weight": pa.array(weight)})
        if seen:
            yield from _leave(state.sums(), candidates, sids_schema())

    return scan


def merger(queries: int, *, items: bool) -> Callable[[Batches], Batches]:
    """For mapInArrow: rows of several tasks (`items_schema` where `items`, else `sids_schema`) as those of one."""

    def merge(batches: Batches) -> Batches:
        candidates = Candidates(queries, nearest_items if items else nearest_ties)
        sums: F64 | None = None
        schema = None
        for batch in batches:
            schema = batch.schema
            of_sums = pc.equal(batch.column("query"), SUMS)
            own = batch.filter(of_sums).column("sums")
            if len(own):
                total = own.flatten().to_numpy().reshape(len(own), -1).sum(axis=0)
                sums = total if sums is None else sums + total
            candidates.add(_flat(batch.filter(pc.invert(of_sums))))
        if schema is not None:
            yield from _leave(sums, candidates, schema)

    return merge


def _vectors(sids: pa.Array, x: F32, schema: pa.Schema) -> Batches:
    """sid and embedding of the rows whose sid is known; x: float32 [n, D]."""
    known = np.asarray(sids.is_valid())
    if known.any():
        vectors = list_column(x[known], np.ones(int(known.sum()), bool))
        yield _filled({"sid": sids.drop_null(), "embedding": vectors}, schema)


def _flat(batch: pa.RecordBatch) -> pa.Table:
    """One row per candidate, from one row per query."""
    lengths = pc.list_value_length(batch.column("score")).to_numpy()
    columns = {"query": pa.array(np.repeat(batch.column("query").to_numpy().astype(np.int64), lengths))}
    names = [name for name in batch.schema.names if name not in ("query", "sums")]
    return pa.table({**columns, **{name: batch.column(name).flatten() for name in names}})


def _leave(sums: F64 | None, candidates: Candidates, schema: pa.Schema) -> Batches:
    """The rows of a task: one of sums, where there are any, and those of candidates."""
    if sums is not None:
        row = {"query": pa.array([SUMS], pa.int32()), "sums": pa.array([sums.tolist()], schema.field("sums").type)}
        yield _filled(row, schema)
    lists = candidates.lists()
    if lists is not None:
        yield _filled({name: lists[name].combine_chunks() for name in lists.column_names}, schema)


def _filled(columns: dict[str, pa.Array], schema: pa.Schema) -> pa.RecordBatch:
    """A batch with NULL in the columns that are not given."""
    rows = len(next(iter(columns.values())))
    every = [columns.get(field.name, pa.nulls(rows, field.type)).cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(every, schema=schema)
