"""The table of SIDInspector, as Parquet and as CSV."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq
import pytest
from export.small_catalogue import CODES, ORDER, SUFFIX, output_in, source_of, tokenizer_of

from drq_spark.config import load_config
from drq_spark.export.export_source import Choices
from drq_spark.export.inspector_table import write_inspector
from drq_spark.external.sid_map import read_sids


@pytest.mark.parametrize(("name", "suffix"), [("whole", "none"), ("whole.csv", "all")])
def test_a_row_an_item_with_a_column_a_level(spark, tmp_path, name, suffix):
    source = source_of(spark, Choices(suffix, dataset="shop, 1"), tokenizer=tokenizer_of())
    write_inspector(source, output_in(tmp_path, name))
    if name.endswith(".csv"):
        text = {"item_id": str, "sid": str}
        found = pd.read_csv(tmp_path / name, dtype=text, keep_default_na=False, escapechar="\\")
        assert found["item_id"].tolist() == ORDER
    else:
        found = pq.read_table(tmp_path / name).to_pandas()
    levels = [f"sid_level_{level}" for level in range(3 + (suffix == "all"))]
    assert found.columns.tolist() == ["item_id", *levels, "sid", "method", "dataset"]
    expected = {item: (*codes, SUFFIX[item]) if suffix == "all" else codes for item, codes in CODES.items()}
    assert dict(zip(found["item_id"], found[levels].itertuples(index=False, name=None), strict=True)) == expected
    assert dict(zip(found["item_id"], found["sid"], strict=True)) == {
        item: "-".join(map(str, codes)) for item, codes in expected.items()
    }
    assert set(found["method"]) == {"rq_kmeans"}
    assert set(found["dataset"]) == {"shop, 1"}


def test_the_table_is_read_as_sids_from_elsewhere(spark, tmp_path):
    output = output_in(tmp_path)
    write_inspector(source_of(spark), output)
    found = read_sids(spark, load_config(options={"sids.path": output.result}))
    assert {row.item_id: tuple(row.codes) for row in found.df.collect()} == CODES
