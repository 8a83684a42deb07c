"""The bundle of TorchEasyRec: its published form, and read back as SIDs from elsewhere."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
from export.small_catalogue import CODES, LONG, MOVED, NUMBERED_IDS, ODD, SIZES, output_in, source_of

from drq_spark.config import load_config
from drq_spark.export.easyrec_bundle import write_easyrec
from drq_spark.external.sid_map import read_sids

SLOT = {"b": 1, "9": 2, LONG: 1, "7": 2, ODD: 3, "10": 1, "": 1}


def offset(codes: tuple[int, ...]) -> list[int]:
    return [codes[0], SIZES[0] + codes[1], SIZES[0] + SIZES[1] + codes[2]]


def test_both_tables_and_the_manifest_tell_the_same(spark, tmp_path):
    write_easyrec(source_of(spark), output_in(tmp_path))
    items = {row["item_id"]: row for row in pq.read_table(tmp_path / "whole" / "item_to_sid").to_pylist()}
    assert {item: tuple(row["codebook"]) for item, row in items.items()} == CODES
    assert {item: tuple(row["origin_codebook"]) for item, row in items.items()} == {**CODES, **MOVED}
    assert {item: row["index"] for item, row in items.items()} == SLOT
    assert all(row["offset_codebook"] == offset(CODES[item]) for item, row in items.items())
    left = dict(SLOT)
    for row in pq.read_table(tmp_path / "whole" / "sid_to_items").to_pylist():
        assert row["offset_codebook"] == offset(tuple(row["codebook"]))
        for place, item in enumerate(row["itemids"], 1):
            assert (tuple(row["codebook"]), place) == (CODES[item], left.pop(item))
    manifest = json.loads((tmp_path / "whole" / "manifest.json").read_text())
    assert manifest["codebook"] == list(SIZES)
    assert manifest["capacity"] == manifest["max_observed_items_per_sid"] == 3
    assert manifest["artifacts"] == {
        name: {"save_type": "parquet", "rows": rows, "location": f"{tmp_path}/whole/{name}"}
        for name, rows in (("item_to_sid", 7), ("sid_to_items", 4))
    }
    assert manifest["item_id_type"] == "string"
    assert not left


def test_codes_are_lists_of_long_integers(spark, tmp_path):
    write_easyrec(source_of(spark, ids=NUMBERED_IDS), output_in(tmp_path))
    schema = pq.read_table(tmp_path / "whole" / "item_to_sid").schema
    assert [schema.field(name).type for name in ("item_id", "index")] == [pa.int64()] * 2
    for name in ("origin_codebook", "codebook", "offset_codebook"):
        assert schema.field(name).type.value_type == pa.int64()
    assert json.loads((tmp_path / "whole" / "manifest.json").read_text())["item_id_type"] == "int64"


def test_the_bundle_is_read_as_sids_from_elsewhere(spark, tmp_path):
    write_easyrec(source_of(spark), output_in(tmp_path))
    path = {"sids.path": f"{tmp_path}/whole/item_to_sid"}
    starts = [0, SIZES[0], SIZES[0] + SIZES[1]]
    for settings in ([], ["sids.column=offset_codebook", f"sids.base={starts}"]):
        found = read_sids(spark, load_config(options=path, settings=settings))
        assert {row.item_id: tuple(row.codes) for row in found.df.collect()} == CODES
