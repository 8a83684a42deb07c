"""Attributes as text, one row an item, and clear refusals."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest
from pipeline.catalogues import write
from pipeline.direct import config

from drq_spark.errors import ConfigError, InputRefused
from drq_spark.inputs.attributes import attributes_fingerprint, read_attributes
from drq_spark.inputs.items import read_catalogue


def table(ids, **columns):
    """Items with an embedding of two numbers each."""
    return pa.table({"item_id": ids, "embedding": [[float(n), 1.0] for n in range(len(ids))], **columns})


def read(spark, path, *names, id_type="string"):
    """item_id -> attributes."""
    rows = read_attributes(spark, config(path, f"items.attributes=[{','.join(names)}]"), id_type).collect()
    result = {row[0]: tuple(row[1:]) for row in rows}
    assert len(result) == len(rows)
    return result


def test_any_column_with_a_text_is_an_attribute_in_the_order_of_the_setting(spark, tmp_path):
    ids = pa.array([1, 2, 3], pa.int32())
    columns = {
        "a`b.c": ["x", None, ""],
        "price": [1.5, 2.0, None],
        "day": [date(2024, 1, 2), None, date(2024, 1, 3)],
        "new": [True, False, None],
    }
    path = write(table(ids, **columns), tmp_path / "items")
    found = read(spark, path, "price", "'a`b.c'", "day", "new", id_type="int")
    assert found == {
        1: ("1.5", "x", "2024-01-02", "true"),
        2: ("2.0", None, None, "false"),
        3: (None, "", "2024-01-03", None),
    }


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]])
def test_of_several_rows_the_lowest_attributes_count_and_known_ones_before_unknown(spark, tmp_path, order):
    rows = table(["a", "a", "a", None, "b"], kind=[None, "z", "z", "x", None], brand=["1", "2", None, "x", None])
    path = write(rows.take(order), tmp_path / "items", files=3)
    assert read(spark, path, "kind", "brand") == {"a": ("z", "2"), "b": (None, None)}


def test_the_fingerprint_is_of_ids_and_attributes_whatever_their_order(spark, tmp_path):
    def of(name, ids, kinds, brands):
        path = write(table(ids, kind=kinds, brand=brands), tmp_path / name, files=2)
        return attributes_fingerprint(spark, config(path, "items.attributes=[kind,brand]"), "string")

    first = of("first", ["a", "b", None], ["x", None, "z"], [None, "y", "z"])
    assert of("turned", [None, "b", "a"], ["n", None, "x"], ["n", "y", None]) == first
    assert of("swapped", ["a", "b", None], [None, "x", "z"], ["y", None, "z"]) != first
    assert of("moved", ["a", "b", None], [None, None, "z"], ["x", "y", "z"]) != first
    assert attributes_fingerprint(spark, config(str(tmp_path)), "string") is None


def test_without_attributes_there_are_none(spark, tmp_path):
    assert read_attributes(spark, config(str(tmp_path / "nothing")), "string") is None


def test_attributes_without_items_are_a_wrong_setting(spark):
    from drq_spark.config import load_config

    with pytest.raises(ConfigError, match=r"items\.attributes are columns of the items table"):
        read_attributes(spark, load_config(settings=["items.attributes=[kind]"]), "string")


@pytest.mark.parametrize("early", [True, False])
def test_columns_that_cannot_be_text_are_refused_before_any_work(spark, tmp_path, early):
    kinds = {"list": [["x"]], "struct": [{"x": 1}], "map": pa.array([[("x", 1)]], pa.map_(pa.string(), pa.int32()))}
    path = write(table(["a"], kind=["x"], **kinds), tmp_path / "items")

    def refused(name, message):
        settings = config(path, f"items.attributes=[kind,{name}]")
        with pytest.raises(InputRefused, match=message):
            read_catalogue(spark, settings) if early else read_attributes(spark, settings, "string")

    for name in kinds:
        refused(name, f"attribute column '{name}' is .*; an attribute has one value per item")
    refused("knid", r"no column 'knid' \(items\.attributes\): did you mean 'kind'\?")
