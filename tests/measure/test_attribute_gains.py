"""Gains of attributes by Spark against those from the rows."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from measure.chains import cell_sizes, gains

from drq_spark.config import Config
from drq_spark.formulas.entropy import ESTIMATORS
from drq_spark.hashing import item_key
from drq_spark.measure.information import attribute_gains as measured
from drq_spark.measure.subject import Subject
from drq_spark.schemas import ATTRIBUTE_GAINS
from drq_spark.staging import Staging
from drq_spark.tokenizer.keys import codes_to_keys

SIZES = (4, 3)
NAMES = ("category", "brand")


@pytest.fixture(scope="module")
def rows():
    """ids, codes and attributes of 400 items: the category follows the first code, the brand is drawn by lot."""
    random = np.random.default_rng(5)
    first, second = random.integers(4, size=400), random.integers(3, size=400)
    category = np.where(random.random(400) < 0.3, random.integers(4, size=400), first)
    brand = random.integers(6, size=400)
    # an unknown one, then b; b, then an unknown one; and names that are equal where they are put side by side
    categories, brands = ("a", "b", "ab", None), (None, "b", "bb", "c", "", "0")
    attributes = [(categories[c], brands[b]) for c, b in zip(category, brand, strict=True)]
    codes = list(zip(first.tolist(), second.tolist(), strict=True))
    return [f"item-{number}" for number in range(400)], codes, attributes


@pytest.fixture(scope="module")
def table(spark, rows, tmp_path_factory):
    """The gains of `rows`."""
    return measured.attribute_gains(subject(spark, rows, tmp_path_factory.mktemp("gains"))).cache()


@pytest.fixture(scope="module")
def whole(table):
    """The same as a mapping."""
    return by_place(table)


def subject(spark, rows, staging, seed=0, partitions=None, listed=None, names=NAMES):
    """SIDs with attributes; `listed` (item_id, attributes) takes the place of the attributes in `rows`."""
    ids, codes, attributes = rows
    keys = codes_to_keys(np.array(codes), SIZES).tolist()
    sids = spark.createDataFrame(list(zip(ids, keys, strict=True)), "item_id string, sid bigint")
    columns = ", ".join(f"a_{step} string" for step in range(1, len(names) + 1))
    own = [(item, *values) for item, values in zip(ids, attributes, strict=True)]
    known = spark.createDataFrame(own if listed is None else listed, f"item_id string, {columns}")
    if partitions is not None:
        sids, known = sids.repartition(partitions), known.repartition(partitions)
    settings = Config.model_validate({"items": {"attributes": list(names)}, "seed": seed})
    return Subject(sids, SIZES, "string", settings, Staging(str(staging)), attributes=known)


def by_place(table):
    """(estimator, step, level) -> conditional entropy, gain, permuted gain."""
    result = {
        (row.estimator, row.step, row.level): (row.conditional_entropy, row.gain, row.permuted_gain)
        for row in table.collect()
    }
    assert len(result) == table.count()
    return result


def found(chosen):
    """`by_place` of new gains."""
    return by_place(measured.attribute_gains(chosen))


def by_key(chosen, codes, part_items):
    """The permutation of attribute_gains from its definition: parts by key, attributes in the order of keys."""
    keyed = chosen.sids.select("item_id", item_key("permutation", chosen.config.seed).alias("key")).collect()
    keys = {row.item_id: row.key for row in keyed}
    key = [keys[f"item-{number}"] for number in range(len(codes))]

    def permute(group, step, level):
        parts = math.ceil(len(group) / part_items)
        taken = {}
        for part in range(parts):
            members = [i for i in group if key[i] % parts == part]
            ordered = sorted(members, key=lambda i: codes[i][:level])
            taken |= dict(zip(ordered, sorted(members, key=lambda i: key[i]), strict=True))
        return [taken[i] for i in group]

    return permute


@pytest.mark.parametrize("part_items", [10_000, 30])
def test_gains_are_those_from_the_rows(spark, rows, whole, tmp_path, monkeypatch, part_items):
    chosen = subject(spark, rows, tmp_path)
    result = whole
    if part_items == 30:
        monkeypatch.setattr(measured, "_PART_ITEMS", 30)
        result = found(chosen)
        assert result != whole
    _, codes, attributes = rows
    for estimator in ("plug_in", "grassberger"):
        expected = gains(codes, attributes, estimator, by_key(chosen, codes, part_items))
        for (step, level), values in expected.items():
            assert result[estimator, step, level] == pytest.approx(values, rel=1e-9, abs=1e-12)


def test_what_tells_of_a_code_stands_out_from_chance(whole):
    _, gain, by_chance = whole["plug_in", 1, 1]
    assert gain > 0.4 > 10 * by_chance  # the category and the first code
    for level in (1, 2):
        _, gain, by_chance = whole["plug_in", 2, level]
        assert gain > 0.05 > abs(gain - by_chance)  # the brand and any code


def test_the_table_has_its_columns(table):
    own = [column for column in ATTRIBUTE_GAINS.columns if column.name not in ("run_id", "tokenizer_id")]
    assert table.dtypes == [(column.name, column.type) for column in own]
    places = {(row.step, row.attribute, row.level, row.estimator) for row in table.collect()}
    steps = [(1, "category"), (2, "brand")]
    assert places == {(*step, level, name) for step in steps for level in (1, 2) for name in ("plug_in", "grassberger")}


def test_numbers_do_not_depend_on_partitions(spark, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "_PART_ITEMS", 30)
    one, *others = [found(subject(spark, rows, tmp_path, partitions=count)) for count in (1, 3, 7)]
    for other in others:
        assert other == {place: pytest.approx(values, rel=1e-12, abs=1e-13) for place, values in one.items()}


def test_the_seed_changes_the_permutation_alone(spark, rows, whole, tmp_path):
    other = found(subject(spark, rows, tmp_path, seed=1))
    assert {place: values[:2] for place, values in other.items()} == {
        place: values[:2] for place, values in whole.items()
    }
    assert all(other[place][2] != whole[place][2] for place in whole if place[0] == "plug_in")


def test_the_permutation_is_like_any_other(rows, whole):
    """The permuted gain lies among those of permutations by numpy's generator."""
    random = np.random.default_rng(9)
    by_lot = [
        gains(*rows[1:], "plug_in", lambda group, step, level: random.permutation(group).tolist()) for _ in range(60)
    ]
    for step, level in by_lot[0]:
        values = np.array([one[step, level][2] for one in by_lot])
        assert abs(whole["plug_in", step, level][2] - values.mean()) < 4 * values.std(ddof=1)


def test_four_items_by_hand(spark, tmp_path):
    """An attribute that is the first code gains all of it, and nothing of the second code."""
    rows = [f"item-{n}" for n in range(4)], [(0, 0), (0, 1), (1, 0), (1, 1)], [("x",), ("x",), (None,), (None,)]
    result = found(subject(spark, rows, tmp_path, names=("category",)))
    assert result["plug_in", 1, 1][:2] == pytest.approx((0, math.log(2)))
    assert result["plug_in", 1, 2] == pytest.approx((math.log(2), 0, 0))  # one category a prefix: nothing to permute
    # H(s^1) = G(4) - G(2) and H(s^2 | s^1, a) = G(2) - G(1), with G(4) = G(2) + 2/3 and G(2) = G(1) + 2
    assert result["grassberger", 1, 1][:2] == pytest.approx((0, 2 / 3))
    assert result["grassberger", 1, 2] == pytest.approx((2, 0, 0))


def test_items_without_a_row_have_unknown_attributes(spark, rows, whole, tmp_path):
    ids, _, attributes = rows
    listed = [(item, *own) for item, own in zip(ids, attributes, strict=True) if own != (None, None)]
    assert len(listed) < len(ids)
    assert found(subject(spark, rows, tmp_path, listed=[*listed, ("no item", "x", "y")])) == whole


def test_large_cells_are_counted_by_their_sums(spark, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "EXACT_BELOW", 10)
    result = found(subject(spark, rows, tmp_path))
    _, codes, attributes = rows

    def conditional(estimate, step, level):
        longer, shorter = (
            Counter((code[:length], own[:step]) for code, own in zip(codes, attributes, strict=True)).values()
            for length in (level, level - 1)
        )
        return estimate(cell_sizes(list(longer), 10)) - estimate(cell_sizes(list(shorter), 10))

    for (estimator, step, level), values in result.items():
        before, after = (conditional(ESTIMATORS[estimator], known, level) for known in (step - 1, step))
        assert values[:2] == pytest.approx((after, before - after), rel=1e-9, abs=1e-12)


def test_without_attributes_there_is_no_table(spark, rows, tmp_path):
    assert measured.attribute_gains(replace(subject(spark, rows, tmp_path), attributes=None)) is None
