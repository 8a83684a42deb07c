"""Pairs of consecutive items: what a plain loop over every user's events finds, and below the bounds exactly."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from pipeline.catalogues import Rows, plain
from pipeline.direct import config
from pyspark.sql import functions as F

from drq_spark.errors import ConsistencyError, InputRefused
from drq_spark.hashing import tie_key
from drq_spark.inputs import consecutive
from drq_spark.inputs.event_log import read_event_log
from drq_spark.inputs.events import events_of
from drq_spark.inputs.items import read_catalogue
from drq_spark.sample import load
from drq_spark.sample import pairs as draw_of_pairs
from drq_spark.sample.draw import first_candidates
from drq_spark.sample.load import load_behaviour
from drq_spark.sample.pairs import draw_behaviour, near_pairs
from drq_spark.sample.values import Sample, with_behaviour
from drq_spark.staging import Staging

DIM = 4
BAD = [float("nan")] * DIM


@dataclass(frozen=True)
class Pair:
    """A pair of the reference."""

    item: str
    next: str
    key: int
    held_out: bool


@pytest.fixture(scope="module")
def items():
    """60 items, some without a usable embedding, some several times."""
    good = plain(60, DIM)
    good = good.plus(["twice"] * 2, good.embeddings[:2]).plus(["half"] * 2, [None, good.embeddings[3]])
    return good.plus(["nan", "null", "short"], [BAD, None, [1.0]])


@pytest.fixture(scope="module")
def events():
    """(user, item, position): equal positions, users, items and positions that are NULL, items that nobody knows."""
    random = np.random.default_rng(2)
    known = [f"item-{number:05d}" for number in range(60)]
    odd = ["twice", "half", "nan", "null", "short", "unknown", None]
    popular = random.choice(known, 800, p=np.arange(1, 61) / np.arange(1, 61).sum()).tolist()
    seen = [str(random.choice(popular)) if random.random() > 0.15 else odd[random.integers(7)] for _ in range(900)]
    users = [f"user-{number}" if number else None for number in random.integers(40, size=900)]
    positions = [int(place) if place else None for place in random.integers(12, size=900)]
    return list(zip(users, seen, positions, strict=True))


def table(events, item_type=None):
    """The events as Arrow."""
    users, items, positions = zip(*events, strict=True)
    columns = {"user_id": pa.array(users, pa.string()), "item_id": pa.array(items, item_type or pa.string())}
    return pa.table({**columns, "timestamp": pa.array(positions, pa.int64())})


def drawn(spark, items, events, staging, *settings, partitions=1):
    """Draw from views of so many partitions, in order for one and shuffled for more."""
    for name, rows in (("behaviour_items", items), ("behaviour_events", events)):
        df = spark.createDataFrame(rows)
        df = df.orderBy(*rows.column_names[:1]) if partitions == 1 else df.repartition(partitions, F.rand(3))
        df.createOrReplaceTempView(name)
    chosen = config("behaviour_items", "events.path=behaviour_events", *settings)
    catalogue = read_catalogue(spark, chosen)
    kept = Staging(str(staging))
    log = events_of(read_event_log(spark, chosen, catalogue.id_type), catalogue.df, chosen, kept)
    near = near_pairs(catalogue, log, chosen)
    seen = first_candidates(catalogue, chosen, kept, near.items())
    return draw_behaviour(near, seen, catalogue, log, chosen, kept)


def all_pairs(spark, events, usable, *, holdout, seed=0):
    """Every pair of two usable items in key order: a loop over users, keys and ties from the hash one by one."""
    named = spark.createDataFrame(events, "user string, item_id string, position bigint").where(
        "user IS NOT NULL AND position IS NOT NULL AND item_id != 'unknown'"
    )
    sequences = defaultdict(list)
    for user, item, position, tie in named.select("*", tie_key(seed)).collect():
        sequences[user].append((position, tie, item))
    found = []
    for user, sequence in sequences.items():
        ordered = sorted(sequence)
        for (position, _, item), (_, _, after) in pairwise(ordered):
            if item in usable and after in usable and item != after:
                found.append((user, position, item, after))
    df = spark.createDataFrame(found, "user string, position bigint, item string, next string")
    pair = F.xxhash64(F.lit("pair"), "user", "position", "item", "next", F.lit(seed))
    rows = df.select("item", "next", pair.alias("pair"), F.xxhash64(F.lit("user"), "user", F.lit(seed)).alias("hash"))
    return sorted(
        (
            Pair(row.item, row.next, (row.pair % 2**64) >> 1, (((row.hash % 2**64) >> 11) + 0.5) / 2**53 < holdout)
            for row in rows.collect()
        ),
        key=lambda pair: pair.key,
    )


def below_the_bounds(pairs, max_pairs, max_held_out, size):
    """Pair after pair in key order, until one kind is full, or one item too many would be touched."""
    left, touched, kept = {False: max_pairs, True: max_held_out}, set(), []
    for pair in pairs:
        if left[pair.held_out] == 0:
            continue
        if len(touched | {pair.item, pair.next}) > size:
            break
        left[pair.held_out] -= 1
        touched |= {pair.item, pair.next}
        kept.append(pair)
    return kept


def rows_of(found):
    """Drawn pairs in key order."""
    rows = found.pairs.orderBy("pair_key").collect()
    return [Pair(str(row.item_id), str(row.next_item_id), row.pair_key, row.held_out) for row in rows]


def ids_of(found):
    """Drawn items, sorted."""
    return sorted(str(row.item_id) for row in found.items.select("item_id").collect())


def ends(pairs):
    """Items of pairs, sorted."""
    return sorted({end for pair in pairs for end in (pair.item, pair.next)})


@pytest.fixture(scope="module")
def usable(items):
    """Ids with a usable embedding."""
    good = {i for i, e in zip(items.ids, items.embeddings, strict=True) if e not in (None, [1.0]) and e is not BAD}
    return good | {"half"}


class TestPairs:
    def test_worked_by_hand(self, spark, tmp_path):
        items = Rows(tuple("ABCDEFN"), (*plain(6, DIM).embeddings, BAD))
        seen = ["A", "B", "A", "A", "X", "C", "D", None, "E", "N", "F"]
        one = [("u", item, place) for place, item in enumerate(seen)]
        two = [("v", "C", 2), ("v", "B", 1), ("v", "A", 0), ("w", "A", 1), (None, "A", 1), (None, "B", 2)]
        lost = [("x", "A", 1), ("x", "B", None), ("x", "C", 2), ("y", "F", 9), ("y", "E", 10)]
        found = drawn(spark, items.table(), table([*one, *two, *lost]), tmp_path, "events.holdout=0")
        assert sorted((pair.item, pair.next) for pair in rows_of(found)) == [
            ("A", "B"),  # u 0, 1
            ("A", "B"),  # v
            ("A", "C"),  # u 3, 5: X is not in the catalogue and is passed over
            ("A", "C"),  # x, whose event without a position is in no sequence
            ("B", "A"),  # u 1, 2; then A again
            ("B", "C"),  # v
            ("C", "D"),  # u 5, 6
            ("D", "E"),  # u 6, 8, with no item between; N is in the catalogue, without a usable embedding
            ("F", "E"),  # y, in the order of numbers, not of text
        ]
        assert not any(pair.held_out for pair in rows_of(found))
        assert ids_of(found) == list("ABCDEF")

    @pytest.mark.parametrize("partitions", [1, 3, 16])
    def test_the_lowest_keys_below_all_bounds_under_any_layout(
        self, spark, items, events, usable, tmp_path, partitions
    ):
        sets = ("events.max_pairs=150", "events.holdout=0.3", "sample.size=58", "seed=4")
        found = drawn(spark, items.table(), table(events), tmp_path, *sets, partitions=partitions)
        pairs = all_pairs(spark, events, usable, holdout=0.3, seed=4)
        expected = below_the_bounds(pairs, 150, 45, 58)
        kinds = [sum(pair.held_out == kind for pair in expected) for kind in (False, True)]
        assert kinds[1] == 45 < sum(pair.held_out for pair in pairs)
        assert kinds[0] == 150 or len(ends(expected)) in (57, 58)  # two bounds at work
        assert rows_of(found) == expected
        assert ids_of(found) == ends(expected)
        vectors = {i: e for i, e in zip(items.ids, items.embeddings, strict=True) if e is not None and "-" in i}
        rows = [row for row in found.items.collect() if "-" in row.item_id]
        assert {row.item_id: row.embedding for row in rows} == {
            i: np.array(vectors[i], np.float32).tolist() for i in ends(expected) if "-" in i
        }
        keys = dict(found.items.select("item_id", F.xxhash64(F.lit("split"), "item_id", F.lit(4))).collect())
        assert {row.item_id: row.split_key for row in found.items.collect()} == keys

    def test_all_pairs_where_no_bound_is_met(self, spark, items, events, usable, tmp_path):
        found = drawn(spark, items.table(), table(events), tmp_path)
        assert rows_of(found) == all_pairs(spark, events, usable, holdout=0.2)

    @pytest.mark.parametrize("size", [10, 11])
    def test_few_items_and_most_of_them_bad_cost_more_rounds_and_no_pair(
        self, spark, items, events, usable, tmp_path, monkeypatch, size
    ):
        rounds, look = [], draw_of_pairs._candidates
        monkeypatch.setattr(draw_of_pairs, "_candidates", lambda *given: rounds.append(given[-1]) or look(*given))
        spoiled = [e if n % 3 == 0 and n < 60 else BAD for n, e in enumerate(items.embeddings)]
        few = {item for n, item in enumerate(items.ids) if n % 3 == 0 and n < 60}
        sets = ("items.max_bad_share=1", f"sample.size={size}", "events.max_pairs=1000")
        found = drawn(spark, Rows(items.ids, tuple(spoiled)).table(), table(events), tmp_path, *sets, partitions=3)
        expected = below_the_bounds(all_pairs(spark, events, few, holdout=0.2), 1000, 200, size)
        assert len(rounds) > 1
        assert size - 1 <= len(ends(expected)) <= size
        assert rows_of(found) == expected
        assert ids_of(found) == ends(expected)

    def test_numbers_are_drawn_like_their_text(self, spark, events, tmp_path):
        rows = plain(120, DIM)
        numbers = [(user, item if item is None else hash_free(item), place) for user, item, place in events]
        text = [(user, None if item is None else str(item), place) for user, item, place in numbers]
        sets = ("events.max_pairs=100",)
        by_number = drawn(
            spark, rows.with_ids(range(120)).table(pa.int32()), table(numbers, pa.int64()), tmp_path / "n", *sets
        )
        by_text = drawn(spark, rows.with_ids(map(str, range(120))).table(), table(text), tmp_path / "t", *sets)
        assert dict(by_number.pairs.dtypes)["next_item_id"] == "int"
        assert rows_of(by_number) == rows_of(by_text)
        assert ids_of(by_number) == ids_of(by_text)

    @pytest.mark.parametrize(
        ("events", "said"),
        [
            ([("u", "A", 1), ("v", "B", 2)], "each of the 2 users has one event"),
            ([("u", "A", 1), ("u", "A", 2), ("v", "B", 2)], "every event is followed by one of the same item"),
            ([("u", "X", 1), ("u", "Y", 2)], "no event names an item that there is"),
            ([("u", "A", 1), ("u", "N", 2)], "1 pairs have an item without a usable embedding"),
            ([("u", "A", 1), ("u", "B", 2)], r"all 1 such pairs are of held-out users \(events.holdout=0.2\)"),
        ],
    )
    def test_no_pair_to_train_on_is_refused_in_one_line(self, spark, tmp_path, monkeypatch, events, said):
        monkeypatch.setattr(consecutive, "held_out_user", lambda seed, share: F.lit("all" in said))
        with pytest.raises(InputRefused, match=rf"no two events of a user .*: {said}"):
            drawn(spark, Rows(("A", "B", "N"), (*plain(2, DIM).embeddings, BAD)).table(), table(events), tmp_path)


def hash_free(item):
    """A number for every item of the events."""
    return int(item.removeprefix("item-")) if item.startswith("item-") else 60 + len(item)


@pytest.fixture(scope="module")
def tables(spark, items, events, tmp_path_factory):
    """Drawn items and pairs, staged."""
    return drawn(spark, items.table(), table(events), tmp_path_factory.mktemp("load"), "events.max_pairs=300")


class TestLoad:
    def test_pairs_are_rows_of_the_items_in_the_order_of_their_keys(self, tables):
        found = load_behaviour(tables.items, tables.pairs, DIM)
        ordered = tables.items.orderBy("split_key").collect()
        assert np.array_equal(found.x, np.array([row.embedding for row in ordered], np.float32))
        assert found.split_key.tolist() == [row.split_key for row in ordered]
        place = {row.item_id: number for number, row in enumerate(ordered)}
        expected = {False: [], True: []}
        for pair in rows_of(tables):
            expected[pair.held_out].append([place[pair.item], place[pair.next]])
        assert found.pairs.tolist() == expected[False]
        assert found.held_out_pairs.tolist() == expected[True]
        assert len(expected[True]) > 10

    def test_chunks_and_partitions_leave_no_mark(self, tables, monkeypatch):
        whole = load_behaviour(tables.items, tables.pairs, DIM)
        monkeypatch.setattr("drq_spark.chunks._CHUNK_BYTES", 300)
        monkeypatch.setattr(load, "_PAIR_BYTES", 4)
        parts = load_behaviour(tables.items.repartition(5), tables.pairs.repartition(7), DIM)
        for name in ("x", "split_key", "pairs", "held_out_pairs"):
            assert np.array_equal(getattr(parts, name), getattr(whole, name))

    def test_the_fingerprint_covers_items_and_pairs(self, tables):
        found, sample = load_behaviour(tables.items, tables.pairs, DIM), Sample(np.zeros((2, DIM), np.float32), "abc")
        changed = load_behaviour(tables.items, tables.pairs.withColumn("held_out", ~F.col("held_out")), DIM)
        prints = [with_behaviour(sample, part).fingerprint for part in (found, found, changed)]
        assert prints[0] == prints[1] != prints[2]
        assert prints[0] != "abc"

    def test_a_pair_without_its_item_is_a_defect(self, tables):
        one = tables.items.limit(1)
        with pytest.raises(ConsistencyError, match="behaviour_items does not have"):
            load_behaviour(one, tables.pairs, DIM)
