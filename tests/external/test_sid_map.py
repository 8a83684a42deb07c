"""Maps of other systems, in every form: the same codes as were written, and one line for what is wrong."""

from __future__ import annotations

import json
import pickle
import zipfile
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from external.local import FORMS, index_json, parquet, random_codes, tokens, written

from drq_spark.config import load_config
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.external.known_ids import KnownIds
from drq_spark.external.sid_map import read_sids, sid_key
from drq_spark.staging import Staging
from drq_spark.tokenizer.keys import codes_to_keys

pytestmark = pytest.mark.timeout(1200)

CODES = random_codes()
SIZES = (8, 6, 5)


def read(spark, path, *more, known=None, books=None):
    return read_sids(spark, load_config(options={"sids.path": str(path)}, settings=more), known, books)


def codes_of(found) -> dict[Any, tuple[int, ...]]:
    rows = found.df.collect()
    codes = {row.item_id: tuple(row.codes) for row in rows}
    assert len(codes) == len(rows)
    return codes


def set_aside(found) -> list[tuple[Any, str]]:
    return sorted(((row.item_id, row.reason) for row in found.quarantined.collect()), key=str)


@pytest.fixture(scope="module")
def fingerprint(spark, tmp_path_factory):
    """Of the map as it is read from Parquet."""
    return read(spark, written("Parquet", CODES, tmp_path_factory.mktemp("plain"))).fingerprint


class TestForms:
    @pytest.mark.parametrize("form", FORMS)
    def test_every_form_gives_the_same_map(self, spark, tmp_path, fingerprint, form):
        found = read(spark, written(form, CODES, tmp_path / "map"))
        assert codes_of(found) == CODES
        assert set_aside(found) == []
        assert (found.codebook_sizes, found.rows, found.id_type) == (SIZES, len(CODES), "string")
        assert found.fingerprint == fingerprint
        assert dict(found.df.dtypes)["codes"] == "array<int>"

    def test_a_delta_folder_and_a_table_name(self, spark, tmp_path, fingerprint):
        rows = [(item, list(row)) for item, row in CODES.items()]
        df = spark.createDataFrame(rows, "item_id string, codes array<int>")
        df.write.format("delta").save(str(tmp_path / "delta"))
        df.createOrReplaceTempView("sid_map")
        for path in (tmp_path / "delta", "sid_map"):
            found = read(spark, path)
            assert (codes_of(found), found.fingerprint) == (CODES, fingerprint)

    def test_columns_of_any_name(self, spark, tmp_path):
        path = parquet(tmp_path / "m.parquet", sku=[1, 2], codes=[[9], [9]], codebook=[[1, 2], [3, 4]])
        found = read(spark, path, "sids.id=sku", "sids.column=codebook")
        assert (codes_of(found), found.id_type) == ({1: (1, 2), 2: (3, 4)}, "bigint")

    def test_columns_that_spark_does_not_describe_stop_no_map(self, spark, tmp_path, fingerprint):
        """Nor its row numbers; files that disagree about the codes are named."""
        foreign = {
            "trained_at": pa.array([10**18] * len(CODES), pa.timestamp("ns")),
            "score": pa.array(np.zeros(len(CODES), np.float16)),
        }
        path = parquet(tmp_path / "m.parquet", item_id=list(CODES), codes=[list(row) for row in CODES.values()],
                       **foreign)  # fmt: skip
        found = read(spark, path)
        assert (codes_of(found), found.fingerprint) == (CODES, fingerprint)
        numbered = codes_of(read(spark, path, "sids.id=row"))
        assert numbered == dict(enumerate(CODES.values()))
        two = tmp_path / "two"
        two.mkdir()
        parquet(two / "a.parquet", item_id=["x"], codes=[[1, 2]])
        parquet(two / "b.parquet", item_id=["y"], codes=["1-2"])
        with pytest.raises(InputRefused, match=r"column 'codes' \(sids.column\) is .* and string in b.parquet"):
            read(spark, two)

    def test_ids_take_the_type_of_the_items(self, spark, tmp_path):
        path = index_json(tmp_path / "m.json", {"7": [1, 2], "8": [0, 1], "x": [0, 0]})
        known = KnownIds(spark.range(7, 9).selectExpr("cast(id AS int) AS item_id"), "int", None, "items table")
        found = read(spark, path, known=known)
        assert (codes_of(found), found.id_type) == ({7: (1, 2), 8: (0, 1)}, "int")
        assert set_aside(found) == [(None, "unknown_item")]

    def test_json_with_marks_escapes_and_a_key_twice(self, spark, tmp_path):
        text = '\ufeff{"a\\"b": ["<a_1>",\n"<b_2>"] , "Ω,{": [ 3 , 4 ],\n"Ω,{":["<a_3>", "<b_5>"]}\n\n'
        (tmp_path / "m").write_text(text, encoding="utf-8")
        found = read(spark, tmp_path / "m")
        assert codes_of(found) == {'a"b': (1, 2), "Ω,{": (3, 4)}
        assert set_aside(found) == [("Ω,{", "duplicate_id")]

    @pytest.mark.parametrize("indent", [None, 2])
    def test_ids_with_brackets_and_what_else_json_is_made_of(self, spark, tmp_path, indent):
        codes = {"shirt [red]": [1, 2], "[1]": [0, 1], 'a], "b': [2, 0], "x]}": [1, 1], "{y": [2, 2], "": [0, 0]}
        found = read(spark, index_json(tmp_path / "m.json", codes, indent))
        assert codes_of(found) == {item: tuple(row) for item, row in codes.items()}

    def test_values_that_are_text(self, spark, tmp_path):
        (tmp_path / "m.json").write_text(json.dumps({item: "".join(tokens(row)) for item, row in CODES.items()}))
        assert codes_of(read(spark, tmp_path / "m.json")) == CODES

    def test_a_json_document_is_read_in_parts(self, spark, tmp_path):
        """Cut into splits of a few bytes, it gives the same."""
        path = index_json(tmp_path / "m.json", {item: tokens(row) for item, row in CODES.items()})
        before = spark.conf.get("spark.sql.files.maxPartitionBytes")
        spark.conf.set("spark.sql.files.maxPartitionBytes", "100")
        try:
            found = read(spark, path)
            assert found.df.rdd.getNumPartitions() > 5
            assert codes_of(found) == CODES
        finally:
            spark.conf.set("spark.sql.files.maxPartitionBytes", before)


@pytest.mark.parametrize("partitions", [1, 3, 7])
def test_layouts_do_not_matter(spark, partitions):
    """Duplicates, NULLs and odd lengths included."""
    rows = [(item, [*row, 1] if n % 9 == 0 else list(row)) for n, (item, row) in enumerate(CODES.items())]
    rows += [("item-003", [7, 5, 4]), ("item-003", [0, 0, 0]), (None, [1, 1, 1]), ("none", None), ("short", [1])]
    rows += [("long", [1, 1, 1, 1, 1]), ("hole", [1, None, 1]), ("empty", [])]
    df = spark.createDataFrame(rows, "item_id string, codes array<int>").repartition(partitions)
    df.createOrReplaceTempView(f"sid_map_{partitions}")
    found = read(spark, f"sid_map_{partitions}")
    assert codes_of(found) == CODES | {"item-003": (0, 0, 0)}
    assert set_aside(found) == [
        ("empty", "null_codes"), ("hole", "null_codes"), ("item-003", "duplicate_id"), ("item-003", "duplicate_id"),
        ("long", "wrong_length"), ("none", "null_codes"), ("short", "wrong_length"), (None, "null_id"),
    ]  # fmt: skip
    assert (found.rows, found.codebook_sizes) == (len(rows), SIZES)
    assert found.notes == (
        "8 of 68 rows cannot be used as SIDs of 3 codes: 2 duplicate_id, 3 null_codes, 1 null_id, 2 wrong_length.",
        "7 items have one code more than 3: it tells items apart, the SID leaves it out.",
        "K is taken to be the largest code + 1, [8, 6, 5]: give --codes where codebooks are larger.",
    )


def test_a_staged_map_is_read_once(spark, tmp_path):
    """What follows the checks needs the file no more: here it is gone by then."""
    rows = {**CODES, "short": (1,)}
    path = tmp_path / "m.json"
    index_json(path, rows)
    config = load_config(options={"sids.path": str(path)})
    plain = read_sids(spark, config)
    staged = read_sids(spark, config, staging=Staging(str(tmp_path / "staging")))
    same = ("id_type", "codebook_sizes", "rows", "fingerprint", "notes")
    assert [getattr(staged, name) for name in same] == [getattr(plain, name) for name in same]
    path.unlink()
    assert (codes_of(staged), set_aside(staged)) == (CODES, [("short", "wrong_length")])


def test_a_damaged_map_is_named_staged_or_not(spark, tmp_path):
    path = tmp_path / "m.parquet"
    parquet(path, item_id=[f"item-{n}" for n in range(500)], codes=[[n % 7, n % 5] for n in range(500)])
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"\xff" * 40 + whole[44:])  # the footer is sound
    config = load_config(options={"sids.path": str(path)})
    for staging in (None, Staging(str(tmp_path / "staging"))):
        with pytest.raises(InputRefused, match=r"^SIDs '.*m\.parquet' has a damaged file: file:.*m\.parquet"):
            read_sids(spark, config, staging=staging)


class TestLengths:
    def rows(self, tmp_path, lengths):
        codes = {f"i{n}": [n % 3] * length for n, length in enumerate(lengths)}
        return index_json(tmp_path / "m.json", codes)

    def test_one_more_code_on_colliding_items_is_no_level(self, spark, tmp_path):
        found = read(spark, self.rows(tmp_path, [3, 3, 4, 3, 4]))
        assert set(codes_of(found).values()) == {(0,) * 3, (1,) * 3, (2,) * 3}
        assert any("2 items have one code more than 3" in note for note in found.notes)

    def test_a_tie_goes_to_the_shorter(self, spark, tmp_path):
        assert len(read(spark, self.rows(tmp_path, [4, 3, 4, 3])).codebook_sizes) == 3

    def test_levels_can_be_told(self, spark, tmp_path):
        """An extra code on every item (TIGER) looks like a level."""
        path = self.rows(tmp_path, [4, 4, 4])
        assert len(read(spark, path).codebook_sizes) == 4
        for found in (read(spark, path, "sids.levels=3"), read(spark, path, books=(3, 3, 3)),
                      read(spark, path, "sids.codes=[3,3,3]")):  # fmt: skip
            assert (found.codebook_sizes, set_aside(found)) == ((3, 3, 3), [])

    def test_columns_may_lack_their_last_codes(self, spark, tmp_path):
        path = parquet(tmp_path / "m.parquet", item_id=["a", "b", "c"], sid_0=[1, 2, 3], sid_1=[1, 1, None],
                       sid_2=pa.array([None, 0, 1], pa.int64()))  # fmt: skip
        found = read(spark, path, "sids.levels=2")
        assert codes_of(found) == {"a": (1, 1), "b": (2, 1)}
        assert set_aside(found) == [("c", "null_codes")]

    def test_empty_cells_of_a_csv_are_absent_codes(self, spark, tmp_path):
        (tmp_path / "m.csv").write_text("item_id,sid_0,sid_1,sid_2\na,1,2,\nb,1,2,1\nc,0,0,\nd,,,\n")
        found = read(spark, tmp_path / "m.csv")
        assert codes_of(found) == {"a": (1, 2), "b": (1, 2), "c": (0, 0)}
        assert set_aside(found) == [("d", "null_codes")]


class TestCodebookSizes:
    def test_k_is_what_is_asked_else_what_the_codebooks_have_else_the_largest_code(self, spark, tmp_path):
        path = index_json(tmp_path / "m.json", {"a": [0, 3], "b": [0, 1]})
        assert read(spark, path).codebook_sizes == (2, 4)  # a level needs two codes
        assert read(spark, path, "sids.codes=16").codebook_sizes == (16, 16)
        assert read(spark, path, "sids.codes=[2, 9]").codebook_sizes == (2, 9)
        assert read(spark, path, books=(5, 6)).codebook_sizes == (5, 6)
        assert read(spark, path, "sids.codes=[5, 6]", books=(5, 6)).codebook_sizes == (5, 6)

    def test_codes_from_1_are_named_and_can_be_told(self, spark, tmp_path):
        path = index_json(tmp_path / "m.json", {"a": [1, 3], "b": [2, 1]})
        found = read(spark, path)
        assert (codes_of(found)["a"], found.codebook_sizes) == ((1, 3), (3, 4))
        assert any("set sids.base=1" in note for note in found.notes)
        told = read(spark, path, "sids.base=1")
        assert (codes_of(told), told.codebook_sizes) == ({"a": (0, 2), "b": (1, 0)}, (2, 3))
        assert not any("sids.base" in note for note in told.notes)

    def test_codes_from_1_with_k_are_refused_with_the_setting(self, spark, tmp_path):
        path = index_json(tmp_path / "m.json", {"a": [1, 4], "b": [4, 1]})
        with pytest.raises(
            ConfigError, match=r"code 4 \(from 0\) at level 1, .*; if codes count from 1, set sids.base=1"
        ):
            read(spark, path, "sids.codes=4")
        assert codes_of(read(spark, path, "sids.codes=4", "sids.base=1")) == {"a": (0, 3), "b": (3, 0)}

    def test_codes_of_one_vocabulary_are_told_and_can_be_read(self, spark, tmp_path):
        path = index_json(tmp_path / "m.json", {f"i{n}": [n % 4, 4 + n // 4 % 4, 8 + n % 4] for n in range(16)})
        assert any(
            "offset into one vocabulary" in note and "sids.base=[0,4,8]" in note for note in read(spark, path).notes
        )
        with pytest.raises(ConfigError, match=r"codes look offset.* set sids.base=\[0,4,8\]"):
            read(spark, path, "sids.codes=4")
        found = read(spark, path, "sids.codes=4", "sids.base=[0,4,8]")
        assert codes_of(found) == {f"i{n}": (n % 4, n // 4 % 4, n % 4) for n in range(16)}
        assert found.notes == ()
        with pytest.raises(ConfigError, match=r"sids\.base lists 2 levels, sids\.levels is 3"):
            read(spark, path, "sids.base=[0,4]", "sids.levels=3")

    @pytest.mark.parametrize(("alone", "first"), [(0, 0), (0, 1), (1, 1)])
    def test_a_last_code_that_only_tells_items_apart_is_told(self, spark, tmp_path, alone, first):
        """Numbered from 0; from 1 and 0 where an item is alone; from 1."""
        codes = {f"i{n}": [n % 3, n // 3, first if n < 4 else alone] for n in range(9)}
        codes |= {f"i{n}": [*codes[f"i{n - 9}"][:2], first + 1] for n in range(9, 13)}
        path = index_json(tmp_path / "m.json", codes)
        assert any("set sids.levels=2" in note for note in read(spark, path).notes)
        assert not any("sids.levels" in note for note in read(spark, path, "sids.levels=3").notes)
        found = read(spark, path, "sids.levels=2")
        assert codes_of(found) == {item: tuple(row[:2]) for item, row in codes.items()}

    def test_one_level_from_1_is_no_reason_to_ask(self, spark, tmp_path):
        found = read(spark, index_json(tmp_path / "m.json", {"a": [1, 3], "b": [2, 0]}))
        assert not any("sids.base" in note for note in found.notes)

    def test_the_key_is_the_mixed_radix_number(self, spark, tmp_path):
        found = read(spark, index_json(tmp_path / "m.json", CODES), "sids.codes=[100000, 2000, 90000]")
        rows = found.df.select("item_id", sid_key(found.codebook_sizes).alias("sid")).collect()
        keys = {row.item_id: row.sid for row in rows}
        expected = codes_to_keys(np.array(list(CODES.values())), found.codebook_sizes).tolist()
        assert keys == dict(zip(CODES, expected, strict=True))


class TestRefusals:
    @pytest.mark.parametrize(
        ("rows", "says"),
        [
            ({"a": ["<a_1>", "<b_x>"]}, "'<a_1> <b_x>' of item 'a'"),
            ({"a": ["tall", "blue"]}, "hold something else than codes"),
            ({"a": [1.5, 2]}, "hold something else than codes"),
            ({"a": [True, 2]}, "hold something else than codes"),
            ({"a": [[1], [2]]}, "something else than codes"),
            ({"a": 5}, "not of the form"),
            ({"<a_1><b_2>": ["7", "8"], "<a_1><b_3>": ["9"]}, "its keys are SIDs"),
            ({"item_id": {"0": "a"}, "codes": {"0": [1, 2]}}, "not of the form"),
            ({"a": {"codes": [1, 2]}}, "not of the form"),
            ({"a": [0, -1], "b": [1, 1]}, "code -1 at level 2; codes count from 0"),
            ({"a": ["<a_0>", "<b_-1>"]}, "code -1 at level 2"),
            ({"a": [0, 2**20]}, "beyond 1,048,576 codes"),
            ({"a": [0, 10**17]}, "beyond 1,048,576 codes"),
            ({"a": [2**20 - 1] * 4}, "2^63"),
            ({"a": [1] * 27}, "27 codes an item"),
            ({"a": []}, "0 codes an item"),
            ({"a": [1, 1], "b": [1, 2], "c": [1], "d": [1, 1, 1, 1], "e": []}, "3 of 5 rows cannot be used"),
            ({}, "not of the form"),
        ],
    )
    def test_json(self, spark, tmp_path, rows, says):
        path = tmp_path / "m.json"
        path.write_text(json.dumps(rows))
        self.refused(spark, path, says)

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ('{"a": [1, 2], "b": [1, 2]', "it ends early"),
            ('{"a": [1, 2]}, {"b": [3, 4]}', "near"),
            ("[[1, 2], [3, 4]]", "a list has no ids"),
            ('{"item_id": "a", "codes": [1, 2]}\n{"item_id": "b", "co', "near"),
            ("1 2 3\n4 5 6\n", "say with --set sids.id=COLUMN"),
            ("<a_1><b_2>\tred shirt\t0\n", "_c1 ('red shirt')"),
            ('{"a": [1 2]}', "near"),
            ("", "is empty"),
            (
                "item_id,x\n1,2\n",
                "no column 'codes' (sids.column): It has item_id, x; name yours with --set sids.column",
            ),
            ("a;b\n1;2\n", "no column 'item_id' (sids.id) and no column 'codes' (sids.column): It has a, b;"),
            ("item_id,codes\n", "has no rows"),
            ("item_id,codes\na,1--2\n", "hold something else"),
            ("item_id,codes\na,12 blue\n", "hold something else"),
            ("item_id,sid_0,sid_1\na,1,-2\n", "code -2 at level 2"),
        ],
    )
    def test_text(self, spark, tmp_path, text, says):
        path = tmp_path / "m.json"
        path.write_text(text)
        self.refused(spark, path, says)

    def test_tables(self, spark, tmp_path):
        self.refused(spark, tmp_path / "nowhere.json", "there is nothing of that name")
        self.refused(spark, "no_such.sids", "there is nothing of that name")
        floats = parquet(tmp_path / "a.parquet", item_id=["a"], codes=[[1.0, 2.0]])
        self.refused(spark, floats, "the codes are array<double>")
        level = parquet(tmp_path / "b.parquet", item_id=["a"], sid_0=[1.5])
        self.refused(spark, level, "the codes are double")
        ids = parquet(tmp_path / "c.parquet", item_id=[1.5], codes=[[1]])
        self.refused(spark, ids, "id column 'item_id' is double")
        self.refused(spark, ids, "did you mean 'item_id'?", "sids.id=itemid")
        zero = parquet(tmp_path / "d.parquet", item_id=["a", "b"], codes=[[1, 0], [1, 1]])
        self.refused(spark, zero, "code 0 at level 2; codes count from 1", "sids.base=1")
        self.refused(spark, zero, "its codebook has 1 rows", books=(2, 1))
        self.refused(spark, zero, "cannot be used as SIDs of 3 codes", "sids.levels=3")

    def test_files_of_other_forms_by_name(self, spark, tmp_path):
        (tmp_path / "m.csv").write_bytes(pickle.dumps(list(CODES.values())))
        self.refused(spark, tmp_path / "m.csv", "are a pickle")
        with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
            archive.writestr("archive/data.pkl", b"")
        self.refused(spark, tmp_path / "m.npz", "weights_only=True")
        self.refused(spark, parquet(tmp_path / "m.pt", a=[1]), "no column 'item_id'")

    def test_settings_that_do_not_fit(self, spark, tmp_path):
        path = parquet(tmp_path / "m.parquet", item_id=["a", "b"], codes=[[1, 0], [1, 5]])
        self.refused(spark, path, "sids.codes gives it 4", "sids.codes=4", error=ConfigError)
        self.refused(spark, path, "but there are 2 codebooks", "sids.levels=3", books=(9, 9), error=ConfigError)
        self.refused(spark, path, "the codebooks have [9, 9] rows", "sids.codes=6", books=(9, 9), error=ConfigError)

    def refused(self, spark, path, says, *more, error=InputRefused, **named):
        with pytest.raises(error) as refusal:
            read(spark, path, *more, **named)
        assert says in str(refusal.value), str(refusal.value)
        assert "\n" not in str(refusal.value)
