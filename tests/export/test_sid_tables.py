"""Plain tables of SIDs."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
from export.small_catalogue import CODES, LONG, NUMBERED_IDS, ODD, SIZES, output_in, source_of

from drq_spark.export.sid_tables import write_codes, write_lookup
from drq_spark.tokenizer.keys import place_values


def test_codes_are_lists_of_long_integers_by_id(spark, tmp_path):
    write_codes(source_of(spark, ids=NUMBERED_IDS), output_in(tmp_path))
    found = pq.read_table(tmp_path / "whole")
    assert found.schema.field("item_id").type == pa.int64()
    assert found.schema.field("codes").type.value_type == pa.int64()
    rows = dict(zip(found["item_id"].to_pylist(), map(tuple, found["codes"].to_pylist()), strict=True))
    assert rows == {NUMBERED_IDS[item]: codes for item, codes in CODES.items()}


def test_a_sid_leads_to_its_items_in_the_order_of_their_suffixes(spark, tmp_path):
    write_lookup(source_of(spark), output_in(tmp_path))
    found = {tuple(row["codes"]): row for row in pq.read_table(tmp_path / "whole").to_pylist()}
    assert {codes: row["item_ids"] for codes, row in found.items()} == {
        (0, 0, 0): [LONG, "7", ODD],
        (4, 1, 299): ["b", "9"],
        (0, 1, 17): ["10"],
        (3, 0, 128): [""],
    }
    for codes, row in found.items():
        assert row["sid"] == sum(code * int(value) for code, value in zip(codes, place_values(SIZES), strict=True))
