"""From the tables of a run to what the page shows: bounded questions, names, and tables that are not there."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from pyspark.sql import functions as F

from drq_spark.config import load_config
from drq_spark.report import explored_items
from drq_spark.report.explored_items import drawn_items, explored
from drq_spark.report.gather import gather
from drq_spark.report.lookups import confused_pairs, items_of_codes, usage_of_codes
from drq_spark.report.render import render
from drq_spark.report.tree import tree
from drq_spark.schemas import ATTRIBUTE_GAINS, ITEMS_AT_RISK, SID_QUARANTINE, SID_USAGE
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.keys import codes_to_keys

SIZES, ITEMS, RUN = (20, 15, 4), 400, "night"
RNG = np.random.default_rng(3)
CODES = np.stack([np.minimum(RNG.geometric(0.2, ITEMS) - 1, size - 1) for size in SIZES], axis=1)
EXPOSURE = [None if item % 7 == 0 else float(item * 37 % 101) for item in range(ITEMS)]
NAMES = [f"item-{item:03d}" for item in range(ITEMS)]


def sids(spark, parts=3):
    keys = codes_to_keys(CODES, SIZES).tolist()
    rows = [
        (NAMES[item], CODES[item].tolist(), keys[item], item, [0.5] * 3, 0.1, EXPOSURE[item], item, "tok", RUN)
        for item in range(ITEMS)
    ]
    schema = (
        "item_id string, codes array<int>, sid bigint, suffix int, margin array<float>, residual_norm float, "
        "exposure double, embedding_hash bigint, tokenizer_id string, run_id string"
    )
    return spark.createDataFrame(rows, schema).withColumn("run_date", F.current_date()).repartition(parts)


def prefixes(spark, parts=3):
    """prefix_usage by a slow count."""
    counts = [
        (level, int(codes_to_keys(np.array([prefix]), SIZES[:level])[0]), n)
        for level in (1, 2)
        for prefix, n in Counter(tuple(row[:level]) for row in CODES.tolist()).items()
    ]
    rows = spark.createDataFrame(counts, "level int, prefix bigint, items bigint").repartition(parts)
    return stamped(rows.withColumn("exposure", F.lit(None).cast("double")))


def stamped(df):
    return df.withColumns({"run_id": F.lit(RUN), "tokenizer_id": F.lit("tok")})


def made(spark, table, rows):
    """Rows of a table, its columns of the run apart, in the types of the schema."""
    columns = [column for column in table.columns if column.name not in ("run_id", "tokenizer_id")]
    schema = ", ".join(f"{column.name} {column.type.format(id='string')}" for column in columns)
    return stamped(spark.createDataFrame(rows, schema))


def code_usage(spark, parts=3, exposure=True, sizes=SIZES):
    """code_usage by a slow count, unused codes included."""
    rows = []
    for level, size in enumerate(sizes, start=1):
        for code in range(size):
            mine = [item for item in range(ITEMS) if CODES[item, level - 1] == code]
            shown = float(sum(EXPOSURE[item] or 0.0 for item in mine)) if exposure else None
            rows.append((level, code, len(mine), shown))
    return stamped(spark.createDataFrame(rows, "level int, code int, items bigint, exposure double").repartition(parts))


def confusion(spark, parts=2):
    """12 pairs of level 1 with ties, one of another noise that would be the first, and two of level 3."""
    rows = [(1, "latent", 0.5, code, code + 1, 100 - code // 2) for code in range(12)]
    rows += [(1, "latent", 0.2, 7, 8, 999), (1, "input", 0.5, 7, 8, 999)]
    rows += [(3, "latent", 0.5, 0, 1, 5), (3, "latent", 0.5, 1, 0, 6)]
    schema = "level int, ruler string, eta double, code int, other int, items bigint"
    return stamped(spark.createDataFrame(rows, schema).repartition(parts))


@pytest.mark.parametrize("parts", [1, 3, 7])
def test_items_of_codes_are_much_exposed_and_do_not_depend_on_partitions(spark, parts):
    wanted = [(1, 0), (1, 3), (3, 2), (2, 14)]
    found = items_of_codes(sids(spark, parts), wanted)
    hashed = {
        row.item_id: (row.part, row.hash)
        for row in sids(spark).select(
            "item_id", F.pmod(F.xxhash64("item_id"), F.lit(3)).alias("part"), F.xxhash64("item_id").alias("hash")
        ).collect()
    }  # fmt: skip
    for level, code in wanted:
        mine = [item for item in range(ITEMS) if CODES[item, level - 1] == code]
        best = {}
        for item in mine:
            part, tie = hashed[NAMES[item]]
            rank = (-1.0 if EXPOSURE[item] is None else EXPOSURE[item], tie)
            best[part] = max(best.get(part, ((-2.0, 0), "")), (rank, NAMES[item]))
        assert found.get((level, code), []) == [best[part][1] for part in sorted(best)]


@pytest.mark.parametrize("exposure", [True, False])
@pytest.mark.parametrize("parts", [1, 5])
def test_the_use_of_every_code(spark, parts, exposure):
    sizes = (SIZES[0] + 2, *SIZES[1:])  # nothing uses the last two codes of level 1
    found = usage_of_codes(code_usage(spark, parts, exposure, sizes), sizes)
    for level, (use, size) in enumerate(zip(found, sizes, strict=True)):
        codes = CODES[:, level]
        assert use.items.tolist() == np.bincount(codes, minlength=size).tolist()
        if exposure:
            shown = np.bincount(codes, [0.0 if e is None else e for e in EXPOSURE], minlength=size)
            assert use.exposure.tolist() == shown.tolist()  # whole numbers: sums are exact
        else:
            assert use.exposure is None
    assert found[0].items[-2:].tolist() == [0, 0]


@pytest.mark.parametrize("parts", [1, 5])
def test_the_most_confused_pairs_of_every_level(spark, parts):
    found = [(row.level, row.code, row.other, row["items"]) for row in confused_pairs(confusion(spark, parts), 0.5)]
    first = [(1, code, code + 1, 100 - code // 2) for code in range(10)]
    assert found == [*first, (3, 1, 0, 6), (3, 0, 1, 5)]
    assert confused_pairs(None, 0.5) == []


@pytest.mark.parametrize("parts", [1, 4])
def test_the_largest_prefixes_and_their_children(spark, parts):
    found = tree(prefixes(spark, parts), SIZES)
    first = Counter(CODES[:, 0].tolist())
    expected = sorted(first.items(), key=lambda pair: (-pair[1], pair[0]))[:12]
    assert [(branch.code, branch.items) for branch in found] == expected
    for branch in found:
        below = Counter(CODES[CODES[:, 0] == branch.code, 1].tolist())
        largest = sorted(below.items(), key=lambda pair: (-pair[1], pair[0]))[:8]
        rest = branch.items - sum(n for _, n in largest)
        told = [(child.code, child.items) for child in branch.children]
        assert told == largest + ([(None, rest)] if rest else [])
    assert any(child.code is None for branch in found for child in branch.children)
    assert tree(prefixes(spark), SIZES[:2]) == ()


STATE = {
    "run_id": RUN, "run_date": "2026-03-02", "status": "published", "package_version": "0", "input_fingerprint": "a",
    "config_fingerprint": "b", "seconds": {}, "rows_in": ITEMS, "rows_out": ITEMS, "tokenizer_id": "tok",
    "previous_run_id": None, "dim": 4, "notes": None,
}  # fmt: skip


class Tables:
    """What `gather` asks of a store, over DataFrames that were never written."""

    def __init__(self, spark, **tables):
        self.spark, self._tables = spark, tables

    def exists(self, table):
        return table.name in self._tables

    def read(self, table, run_id):
        return self._tables[table.name].where(F.col("run_id") == run_id)


def settings(path="/somewhere/on/this/machine/shop/items.parquet"):
    options = {"items.path": path, "store.out": "/somewhere/on/this/machine/out", "tokenizer.codes": list(SIZES)}
    return load_config((), options)


def test_a_run_with_every_table(spark):
    risk = [(rank, NAMES[rank], CODES[rank].tolist(), 1, rank / 1000, None) for rank in range(1, 30)]
    gains = [(2, "brand", 1, "plug_in", 1.0, 0.5, 0.1), (1, "kind", 1, "plug_in", 1.5, 0.4, 0.2)]
    store = Tables(
        spark,
        code_usage=code_usage(spark),
        prefix_usage=prefixes(spark),
        code_confusion=confusion(spark),
        items_at_risk=made(spark, ITEMS_AT_RISK, risk),
        attribute_gains=made(spark, ATTRIBUTE_GAINS, gains),
        sid_usage=made(spark, SID_USAGE, [(1, 0, [0, 0, 0], 3, None, 2, NAMES[:2])]),
        sid_quarantine=made(spark, SID_QUARANTINE, [("x", "null"), ("y", "null")]),
    )
    books = tuple(RNG.normal(size=(size, 4)).astype(np.float32) for size in SIZES)
    tokenizer = Tokenizer("rq_kmeans", 4, "none", books, (1.0, 1.0, 1.0))

    data = gather(store, STATE, sids(spark), settings(), tokenizer, SIZES, (), ())

    assert [matrix.shape[0] for matrix in data.overlap] == [len(set(column)) for column in CODES.T.tolist()]
    assert [item.name for item in data.at_risk] == NAMES[1:11]
    assert [(gain.step, gain.attribute) for gain in data.gains] == [(1, "kind"), (2, "brand")]
    assert data.quarantine == {"null": 2}
    assert len(data.buckets) == 1
    assert len(data.tree) == 12
    assert [pair.level for pair in data.confusions] == [1] * 10 + [3] * 2
    for pair in data.confusions:
        for code, names in ((pair.code, pair.names), (pair.other, pair.other_names)):
            assert {CODES[NAMES.index(name), pair.level - 1] for name in names} == {code}
    page = render(data)
    assert "somewhere" not in page
    assert "shop/items.parquet" in page


def test_sids_from_elsewhere_without_the_other_tables(spark):
    data = gather(Tables(spark, code_usage=code_usage(spark)), STATE, sids(spark), settings(None), None, SIZES, (), ())
    assert (data.overlap, data.tree, data.confusions, data.at_risk, data.gains, data.buckets) == ((),) * 6
    assert (data.quarantine, data.dim, data.codebook_sizes) == ({}, STATE["dim"], SIZES)
    assert [use.items.sum() for use in data.usage] == [ITEMS] * 3
    assert render(data).startswith("<!doctype html>")


@pytest.mark.parametrize("parts", [1, 7])
def test_the_explorer_holds_all_items_of_a_small_catalogue_by_sid(spark, parts):
    drawn = drawn_items(sids(spark, parts), SIZES, ITEMS)
    keys = codes_to_keys(CODES, SIZES)
    assert drawn["item_id"].to_pylist() == [NAMES[item] for item in np.lexsort((np.arange(ITEMS), keys))]
    told = explored(drawn, {name: name.upper() for name in NAMES}, SIZES, ITEMS)
    assert told.codes.tolist() == CODES[np.lexsort((np.arange(ITEMS), keys))].tolist()
    assert told.names[0] == told.ids[0].upper()
    assert told.margin.tolist() == [0.5] * ITEMS
    assert told.exposure is None  # that of some is not known


@pytest.mark.parametrize("parts", [1, 7])
def test_of_a_large_catalogue_it_holds_what_shares_all_codes_but_the_last(spark, monkeypatch, parts):
    monkeypatch.setattr(explored_items, "MOST", 120)
    drawn = drawn_items(sids(spark, parts), SIZES, ITEMS)
    assert drawn == drawn_items(sids(spark, 3), SIZES, ITEMS)
    assert 60 <= len(drawn) <= 120
    above = [tuple(row[:-1]) for row in CODES.tolist()]
    here = Counter(above[NAMES.index(name)] for name in drawn["item_id"].to_pylist())
    whole = Counter(above)
    assert sum(here[prefix] != whole[prefix] for prefix in here) <= 1  # where the last one is cut


def test_a_catalogue_of_no_items_has_no_explorer(spark):
    assert explored(drawn_items(sids(spark).limit(0), SIZES, 0), {}, SIZES, 0) is None
