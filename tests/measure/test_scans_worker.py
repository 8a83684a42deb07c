"""Scans of batches against dense matrices: blocks, cuts, batches and merges leave no mark."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from tokenizer.samples import pattern, plain

from drq_spark.formulas.ranking import TIE
from drq_spark.measure.behaviour import scans_worker
from drq_spark.measure.behaviour.scans_worker import (
    SUMS,
    Questions,
    item_scanner,
    items_schema,
    merger,
    scanned_schema,
    sid_scanner,
    sids_schema,
)
from drq_spark.row_types import spark_schema
from drq_spark.ship import Shipped
from drq_spark.vectors import unit_rows

ROWS, DIM = 400, 6
TEXT = pa.string()


def embeddings():
    """Rows with copies, scaled ones, zeros, and two that cannot be used."""
    x = pattern(ROWS, DIM, start=7000)
    x[30:270] = x[30]  # more copies than are kept
    x[300:303] = 0
    return x


def item_batches(x, sizes, wanted=()):
    """Batches of these sizes; an unusable row in each. Rows of x that are wanted have a sid, ten times their number."""
    start = 0
    for size in sizes:
        part = slice(start, start + size)
        rows = [*x[part].tolist(), None]
        ids = [f"item {number}" for number in range(len(x))[part]] + ["bad"]
        keys = [*((np.arange(len(x))[part] * 7919) % 1009).tolist(), 0]
        sids = [*(10 * number if number in wanted else None for number in range(len(x))[part]), 7 if wanted else None]
        columns = [pa.array(ids), pa.array(keys, pa.int64()), pa.array(rows, pa.list_(pa.float32()))]
        columns.append(pa.array(sids, pa.int64()))
        yield pa.RecordBatch.from_arrays(columns, names=["item_id", "key", "embedding", "sid"])
        start += size


def questions(vectors):
    left, right, query = unit_rows(vectors[:50]), unit_rows(vectors[350:400]), unit_rows(vectors[280:310])
    return Questions(left, (left * right).sum(axis=1), query)


def answers(batches):
    """Sums, and per query the lists of the other columns."""
    table = pa.Table.from_batches(list(batches))
    rows = table.filter(table["query"].is_valid()).to_pylist()
    [sums] = [row["sums"] for row in rows if row["query"] == SUMS]
    return np.array(sums), {row.pop("query"): row for row in rows if row["query"] != SUMS}


def of_answers(batches):
    """What is merged of the rows that a scan leaves."""
    return [batch.select(items_schema(TEXT).names) for batch in batches]


def counts(vectors, weight, asked):
    scores = unit_rows(vectors) @ asked.left.T
    better = ((scores > asked.target + TIE) * weight[:, None]).sum(axis=0)
    return better, ((np.abs(scores - asked.target) <= TIE) * weight[:, None]).sum(axis=0)


@pytest.fixture(params=["large", "small"])
def blocks(request, monkeypatch):
    """Everything in one block, or blocks of 64 rows and candidates looked through all the time."""
    if request.param == "small":
        monkeypatch.setattr(scans_worker, "_BLOCK_ELEMENTS", 1)
        monkeypatch.setattr(scans_worker, "_SPARE_ROWS", 1)


@pytest.mark.usefixtures("blocks")
class TestItems:
    def expected(self, x, asked):
        scores, keys = unit_rows(x) @ asked.query.T, (np.arange(ROWS) * 7919) % 1009
        best = [
            sorted(range(ROWS), key=lambda row: (-round(scores[row, place], 8), keys[row]))[:201]
            for place in range(len(asked.query))
        ]
        return counts(x, np.ones(ROWS), asked), [[f"item {row}" for row in rows] for rows in best]

    def check(self, found, x, asked):
        (better, ties), best = self.expected(x, asked)
        sums, lists = found
        assert sums[:50].tolist() == better.tolist()
        assert sums[50:100].tolist() == ties.tolist()
        assert sums[100] == ROWS
        assert sums[101:] == pytest.approx(x.astype(np.float64).sum(axis=0), rel=1e-12)
        assert [lists[place]["item_id"] for place in range(len(best))] == best

    def test_of_one_task(self):
        x = embeddings()
        asked = questions(x)
        scan = item_scanner(Shipped(asked), DIM, "none")
        self.check(answers(scan(item_batches(x, [150, 0, 249, 1]))), x, asked)

    def test_embeddings_of_wanted_items_are_left_as_they_came(self):
        x, wanted = embeddings(), {0, 31, 32, 300, 399}
        asked = questions(x)
        batches = list(item_scanner(Shipped(asked), DIM, "l2")(item_batches(x, [150, 0, 249, 1], wanted)))
        of_items = [row for batch in batches for row in batch.to_pylist() if row["query"] is None]
        zeros = {number for number in wanted if not x[number].any()}  # of no use where a direction is needed
        assert zeros == {300}
        assert {row["sid"]: row["embedding"] for row in of_items} == {
            10 * number: x[number].tolist() for number in wanted - zeros
        }
        assert len(of_items) == len(wanted - zeros)
        usual = [batch for batch in item_scanner(Shipped(asked), DIM, "l2")(item_batches(x, [150, 0, 249, 1]))]
        assert [row for batch in batches for row in batch.to_pylist() if row["query"] is not None] == [
            row for batch in usual for row in batch.to_pylist()
        ]

    def test_of_several_tasks_merged(self):
        x = embeddings()
        asked = questions(x)
        scan = item_scanner(Shipped(asked), DIM, "none")
        parts = [batch for rows in (x[:10], x[10:200], x[200:]) for batch in of_answers(scan(renamed(rows, x)))]
        self.check(answers(merger(len(asked.query), items=True)(iter(parts))), x, asked)

    def test_rows_of_one_query_alone_are_merged(self):
        x = embeddings()
        asked = questions(x)
        whole = pa.Table.from_batches(list(item_scanner(Shipped(asked), DIM, "none")(item_batches(x, [400]))))
        own = whole.filter(pa.compute.equal(whole["query"], 7)).select(items_schema(TEXT).names)
        [merged] = merger(len(asked.query), items=True)(iter(own.to_batches()))
        assert merged.to_pylist() == own.to_pylist()


def renamed(rows, x):
    """Batches of a part of x under the ids and keys that it has there."""
    [whole] = item_batches(x, [len(x)])
    start = next(number for number in range(len(x)) if np.shares_memory(x[number], rows))
    return iter([whole.slice(start, len(rows))])


@pytest.mark.usefixtures("blocks")
class TestSids:
    @pytest.mark.parametrize("tasks", [1, 3])
    def test_of_tasks(self, tasks):
        tokenizer = plain(DIM)
        codes = tokenizer.encode(embeddings()).codes
        asked = questions(tokenizer.decode(codes))
        sids, items = np.unique(tokenizer.keys(codes), return_counts=True)
        batch = pa.RecordBatch.from_arrays([pa.array(sids), pa.array(items)], names=["sid", "items"])
        scan = sid_scanner(Shipped((asked, tokenizer)))
        step = -(-len(sids) // tasks)
        parts = [part for start in range(0, len(sids), step) for part in scan(iter([batch.slice(start, step)]))]
        sums, lists = answers(merger(len(asked.query), items=False)(iter(parts)))
        better, ties = counts(tokenizer.decode(codes), np.ones(ROWS), asked)
        assert sums[:50].tolist() == better.tolist()
        assert sums[50:100].tolist() == ties.tolist()
        usage = [np.bincount(codes[:, level], minlength=size) for level, size in enumerate(tokenizer.codebook_sizes)]
        assert sums[100:].tolist() == np.concatenate(usage).tolist()
        scores = (unit_rows(tokenizer.decode(codes)) @ asked.query.T).round(8)
        for place, row in lists.items():
            values, number = np.unique(-scores[:, place], return_counts=True)
            kept = np.flatnonzero(np.cumsum(number) - number < 201)
            assert row["score"] == pytest.approx((-values[kept]).tolist(), abs=1e-7)
            assert row["weight"] == number[kept].tolist()


def test_nothing_comes_of_no_batches():
    asked = questions(embeddings())
    assert list(item_scanner(Shipped(asked), DIM, "none")(iter([]))) == []
    assert list(merger(30, items=True)(iter([]))) == []


@pytest.mark.parametrize("form", ["items", "sids"])
def test_batches_have_the_types_that_spark_is_told(form):
    tokenizer, x = plain(DIM), embeddings()
    if form == "items":
        scanned, schema = item_scanner(Shipped(questions(x)), DIM, "none")(item_batches(x, [400])), scanned_schema(TEXT)
        declared = "query:int,score:array<double>,key:array<bigint>,item_id:array<string>,sums:array<double>"
        assert spark_schema(items_schema(TEXT)).simpleString() == f"struct<{declared}>"
        declared += ",sid:bigint,embedding:array<float>"
    else:
        batch = pa.RecordBatch.from_arrays([pa.array([0, 1]), pa.array([2, 3])], names=["sid", "items"])
        scanned, schema = sid_scanner(Shipped((questions(x), tokenizer)))(iter([batch])), sids_schema()
        declared = "query:int,score:array<double>,weight:array<double>,sums:array<double>"
    assert spark_schema(schema).simpleString() == f"struct<{declared}>"
    assert {batch.schema for batch in scanned} == {schema}
