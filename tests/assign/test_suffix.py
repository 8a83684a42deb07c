"""The suffix that tells items of one SID apart never moves while the item and the tokenizer stay."""

from __future__ import annotations

import numpy as np
import pytest
from pipeline.direct import by_id
from runs_in_hand import changed, published, run_of, sids_of

from drq_spark import long_groups
from drq_spark.assign.suffix import places_of_readers, with_suffix
from drq_spark.config import load_config
from drq_spark.long_groups import bucket_of, long_buckets
from drq_spark.schemas import SIDS
from drq_spark.staging import Staging

SCHEMA = "item_id string, sid bigint, exposure double"


@pytest.fixture
def numbered(spark, tmp_path):
    """Suffixes (item -> suffix) of (item, sid, exposure) rows, with places (item, sid, suffix, held) where given."""

    def suffixes(rows, previous=None, partitions=1, long=(), numbering="rank0"):
        df = spark.createDataFrame(rows, SCHEMA).repartition(partitions)
        known = None
        if previous is not None:
            places = [(*place, 0)[:4] for place in previous]
            known = spark.createDataFrame(places, "item_id string, sid bigint, suffix int, held int")
        found = with_suffix(df, known, long, numbering, Staging(str(tmp_path)))
        assert dict(found.dtypes)["suffix"] == "int"
        return {item: values[0] for item, values in by_id(found, "suffix").items()}

    return suffixes


def test_first_come_the_most_exposed_then_the_lowest_ids(numbered):
    rows = [("a", 1, 1.0), ("b", 1, 5.0), ("c", 1, 1.0), ("d", 2, 0.0), ("e", 1, None)]
    assert numbered(rows) == {"b": 0, "a": 1, "c": 2, "e": 3, "d": 0}


def test_numbers_begin_with_1_where_a_sid_gets_several_items_at_once(spark, numbered):
    rows = [("a", 1, 1.0), ("b", 1, 5.0), ("alone", 2, 0.0)]
    assert numbered(rows, numbering="unique0") == {"b": 1, "a": 2, "alone": 0}
    assert numbered([*rows, ("late", 2, 9.0)], [("alone", 2, 0)], numbering="unique0") == {
        "b": 1, "a": 2, "alone": 0, "late": 1,
    }  # fmt: skip
    of_sid_1 = spark.range(1, 2).select(bucket_of("id").alias("bucket")).first()
    assert numbered(rows, long=[of_sid_1.bucket], numbering="unique0") == {"b": 1, "a": 2, "alone": 0}


def test_known_items_keep_theirs_and_newcomers_get_the_next(numbered):
    before = [("a", 1, 0), ("b", 1, 1), ("gone", 1, 2), ("d", 2, 0)]
    rows = [("a", 1, 0.0), ("b", 1, 9.0), ("new", 1, 99.0), ("newer", 1, 50.0), ("d", 2, 0.0), ("alone", 3, 1.0)]
    assert numbered(rows, before) == {"a": 0, "b": 1, "new": 3, "newer": 4, "d": 0, "alone": 0}


def test_who_comes_back_finds_the_place_that_was_held(numbered):
    before = [("a", 1, 0, 0), ("back", 1, 1, 1), ("moved", 2, 0, 0), ("moved", 1, 2, 1)]
    rows = [("back", 1, 0.0), ("moved", 1, 0.0), ("new", 1, 9.0), ("other", 2, 1.0)]
    assert numbered(rows, before) == {"back": 1, "moved": 2, "new": 3, "other": 1}


def test_a_place_that_is_taken_counts_before_one_that_is_held(numbered):
    before = [("a", 1, 4, 0), ("a", 1, 2, 1), ("b", 1, 3, 1)]
    assert numbered([("a", 1, 0.0), ("b", 1, 0.0)], before) == {"a": 4, "b": 3}


def test_an_item_with_another_sid_is_a_newcomer_there(numbered):
    before = [("a", 1, 0), ("b", 1, 1), ("c", 2, 0)]
    rows = [("a", 2, 9.0), ("b", 1, 1.0), ("c", 2, 1.0)]
    assert numbered(rows, before) == {"a": 1, "b": 1, "c": 0}


def test_no_two_items_of_a_sid_share_a_suffix_whatever_the_partitions(numbered):
    before = [(f"old-{n}", n % 3, n // 3) for n in range(30)]
    rows = [(f"old-{n}", n % 3, float(n)) for n in range(0, 30, 2)] + [(f"new-{n}", n % 3, 1.0) for n in range(20)]
    found = numbered(rows, before)
    assert len({(sid, found[item]) for item, sid, _ in rows}) == len(rows)
    assert all(found[f"old-{n}"] == n // 3 for n in range(0, 30, 2))
    assert numbered(rows, before, partitions=5) == found


@pytest.mark.parametrize("known", [0, 40], ids=["first night", "second night"])
def test_a_sid_with_too_many_items_for_a_task_has_the_same_suffixes(spark, numbered, monkeypatch, known):
    random = np.random.default_rng(known)
    exposure = [None if number < 0.2 else float(int(5 * number)) for number in random.random(400)]
    sids = np.where(random.random(400) < 0.8, 7, random.integers(20, size=400)).tolist()
    rows = [(f"item-{n:03d}", sid, shown) for n, (sid, shown) in enumerate(zip(sids, exposure, strict=True))]
    before = [(item, sid, 2 * n) for n, (item, sid, _) in enumerate(rows[:known])] or None
    expected = numbered(rows, before)
    monkeypatch.setattr(long_groups, "ROWS_A_PART", 50)
    long = long_buckets(spark.createDataFrame(rows, SCHEMA), "sid")
    assert len(long) == 1
    assert numbered(rows, before, partitions=3, long=long) == expected


def test_places_are_those_of_the_published_run_of_the_same_tokenizer_alone(spark, tmp_path):
    """SIDs of two tokenizers may be equal by chance: the items of one are no neighbours of the other's."""
    assert places_of_readers(run_of(spark, tmp_path, "first")) is None
    published(spark, tmp_path, "first", ["a", "b"])
    same = places_of_readers(run_of(spark, tmp_path, "second"))
    assert same is not None
    assert by_id(same, "sid", "suffix", "held") == {"a": (0, 0, 0), "b": (0, 1, 0)}
    other = places_of_readers(run_of(spark, tmp_path, "third", tokenizer_id="tokenizer-b"))
    assert other is None or other.count() == 0


def test_places_are_those_of_the_run_that_a_night_stands_on_though_its_pointer_never_moved(spark, tmp_path):
    """Killed after readers were moved and before the pointer was: its new item has a place that nobody else may get."""
    published(spark, tmp_path, "first", ["a", "b"])
    killed = run_of(spark, tmp_path, "killed", rows_out=3, status="passed")
    killed.write(SIDS, sids_of(spark, ["a", "b", "c"]))
    killed.save()
    places = places_of_readers(run_of(spark, tmp_path, "next", mode="night", base_run_id="killed"))
    assert places is not None
    assert by_id(places, "sid", "suffix") == {"a": (0, 0), "b": (0, 1), "c": (0, 2)}


def test_places_that_were_left_are_held_for_some_nights(spark, tmp_path):
    published(spark, tmp_path, "first", ["a"])
    for night, item in enumerate(("b", "c", "d"), start=1):
        changed(spark, tmp_path, f"night-{night}", [(item, "removed", 0, night, None, None)], after=night)
    changed(spark, tmp_path, "another", [("e", "moved", 0, 9, 1, 0)], tokenizer_id="tokenizer-b")

    def held(nights):
        run = run_of(spark, tmp_path, "next")
        run.config = load_config(options={"nightly.hold_places": nights})
        places = places_of_readers(run)
        assert places is not None
        return by_id(places.where("held = 1"), "sid", "suffix")

    assert held(2) == {"c": (0, 2), "d": (0, 3)}
    assert held(0) == {}
