"""SIDs as tokens: what was written is read back by another JSON reader, and by the package as SIDs from elsewhere."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from export.small_catalogue import CODES, LONG, NUMBERED_IDS, ODD, ORDER, SIZES, SUFFIX, output_in, source_of

from drq_spark.config import load_config
from drq_spark.errors import InputRefused
from drq_spark.export.export_source import Choices
from drq_spark.export.token_rows import write_index_json, write_tokens
from drq_spark.external.sid_map import read_sids
from drq_spark.tokens import SidTokens

MARKS = SidTokens("<s_a_{}>", begin="<|sid_begin|>", end="<|sid_end|>", suffix="<nr_{}>")


def token_list(item: str, suffix: str = "none") -> list[str]:
    """A second way to spell a SID."""
    spelled = [f"<{letter}_{code}>" for letter, code in zip("abc", CODES[item], strict=True)]
    with_it = suffix == "all" or (suffix == "nonzero" and SUFFIX[item] > 0)
    return [*spelled, f"<d_{SUFFIX[item]}>"] if with_it else spelled


def pairs_of(path) -> list[tuple[str, list[str]]]:
    """Members of a JSON object in their order, the same key twice included."""
    return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=list)


@pytest.mark.parametrize("suffix", ["all", "nonzero"])
def test_every_item_is_in_the_file_once_by_id(spark, tmp_path, suffix):
    write_index_json(source_of(spark, Choices(suffix)), output_in(tmp_path))
    assert pairs_of(tmp_path / "whole") == [(item, token_list(item, suffix)) for item in ORDER]


def test_long_ids_are_keys_as_they_are_and_marks_stand_around_each_sid(spark, tmp_path):
    source = source_of(spark, Choices("all", tokens=MARKS), NUMBERED_IDS)
    write_index_json(source, output_in(tmp_path))
    found = dict(pairs_of(tmp_path / "whole"))
    spelled = found.pop(str(NUMBERED_IDS["9"]))
    assert spelled == ["<|sid_begin|>", "<s_a_4>", "<s_b_1>", "<s_c_299>", "<nr_3>", "<|sid_end|>"]
    assert set(found) == {str(number) for item, number in NUMBERED_IDS.items() if item != "9"}


def test_numbers_are_places_in_the_order_of_ids(spark, tmp_path):
    write_index_json(source_of(spark, Choices(numbered=True)), output_in(tmp_path))
    assert pairs_of(tmp_path / "whole") == [(str(n), token_list(item)) for n, item in enumerate(ORDER)]


def test_rows_of_a_file_are_numbers(spark, tmp_path):
    order = ["x", "9", "10", "", ODD, "b", LONG, "y", "7", "9"]
    pq.write_table(pa.table({"sku": order}), tmp_path / "items.parquet")
    choices = Choices(rows_of=str(tmp_path / "items.parquet"))
    write_index_json(source_of(spark, choices, **{"items.id": "sku"}), output_in(tmp_path))
    expected = [(str(n), token_list(item)) for n, item in enumerate(order) if item in CODES]
    assert pairs_of(tmp_path / "whole") == expected


def test_a_file_that_lacks_items_is_refused(spark, tmp_path):
    pq.write_table(pa.table({"item_id": ["9", "10"]}), tmp_path / "items.parquet")
    source = source_of(spark, Choices(rows_of=str(tmp_path / "items.parquet")))
    with pytest.raises(InputRefused, match=r"has 2 of the 7 items with a SID: --rows-of"):
        write_index_json(source, output_in(tmp_path))


def test_the_file_is_read_as_sids_from_elsewhere(spark, tmp_path):
    output = output_in(tmp_path, "shop.index.json")
    write_index_json(source_of(spark, Choices("all")), output)
    settings = ["sids.levels=3", f"sids.codes={list(SIZES)}"]
    found = read_sids(spark, load_config(options={"sids.path": output.result}, settings=settings))
    assert {row.item_id: tuple(row.codes) for row in found.df.collect()} == CODES


def test_texts_of_tokens_are_read_as_sids_from_elsewhere(spark, tmp_path):
    output = output_in(tmp_path)
    write_tokens(source_of(spark, Choices(tokens=MARKS)), output)
    texts = dict(zip(*(pq.read_table(output.result)[name].to_pylist() for name in ("item_id", "sid")), strict=True))
    assert texts[ODD] == "<|sid_begin|><s_a_0><s_b_0><s_c_0><|sid_end|>"
    found = read_sids(spark, load_config(options={"sids.path": output.result}))
    assert {row.item_id: tuple(row.codes) for row in found.df.collect()} == CODES
