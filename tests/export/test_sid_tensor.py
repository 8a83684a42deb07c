"""The tensor of GRID and sid_gr, read by torch."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from export.small_catalogue import CODES, NUMBERED_IDS, ORDER, SUFFIX, output_in, source_of

from drq_spark.errors import ConfigError
from drq_spark.export import export_source
from drq_spark.export.export_source import Choices
from drq_spark.export.sid_tensor import write_tensor


def ids_in(folder) -> list:
    found = pq.read_table(folder / "ids.parquet")
    assert found["number"].to_pylist() == list(range(len(found)))
    return found["item_id"].to_pylist()


@pytest.mark.parametrize("suffix", ["all", "none"])
def test_a_column_an_item_with_the_suffix_below_its_codes(spark, tmp_path, suffix):
    write_tensor(source_of(spark, Choices(suffix)), output_in(tmp_path))
    sids = torch.load(tmp_path / "whole" / "sids.pt", weights_only=True)
    assert sids.dtype == torch.int64
    last = {item: (SUFFIX[item],) if suffix == "all" else () for item in CODES}
    assert [tuple(column) for column in sids.T.tolist()] == [(*CODES[item], *last[item]) for item in ORDER]
    assert ids_in(tmp_path / "whole") == ORDER


def test_integers_are_in_the_order_of_their_values(spark, tmp_path):
    write_tensor(source_of(spark, Choices("all"), NUMBERED_IDS), output_in(tmp_path))
    assert ids_in(tmp_path / "whole") == sorted(NUMBERED_IDS.values())


def test_columns_are_rows_of_a_file_and_minus_1_where_it_has_no_sid(spark, tmp_path):
    order = ["x", *reversed(CODES), "y"]
    pq.write_table(pa.table({"item_id": order}), tmp_path / "items.parquet")
    choices = Choices("all", rows_of=str(tmp_path / "items.parquet"))
    write_tensor(source_of(spark, choices), output_in(tmp_path))
    sids = torch.load(tmp_path / "whole" / "sids.pt", weights_only=True)
    expected = [(*CODES[item], SUFFIX[item]) if item in CODES else (-1,) * 4 for item in order]
    assert [tuple(column) for column in sids.T.tolist()] == expected


def test_an_array_that_does_not_fit_is_refused(spark, tmp_path, monkeypatch):
    source = source_of(spark, Choices("all"))
    monkeypatch.setattr(export_source, "memory_limit", lambda: 8 * 4 * len(CODES) - 1)
    with pytest.raises(ConfigError, match=r"tensor of 7 items takes .* GB of the driver's memory"):
        write_tensor(source, output_in(tmp_path))
    monkeypatch.setattr(export_source, "memory_limit", lambda: 8 * 4 * len(CODES))
    write_tensor(source, output_in(tmp_path))
