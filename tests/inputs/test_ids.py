"""Ids of every type that tables have them in, and which ids of two tables are the same."""

from __future__ import annotations

import pytest

from drq_spark.errors import InputRefused
from drq_spark.inputs.ids import id_column, matching_ids

SETTING, WHAT = "items.id", "items table"


def ids(spark, sql: str) -> list:
    source = spark.sql(f"SELECT {sql} AS id")
    return source.select(id_column(source, "id", SETTING, WHAT)).first()[0]


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("99999999999999999999999999999999999999BD", "9" * 38),
        ("CAST(18446744073709551615 AS DECIMAL(20,0))", "18446744073709551615"),
        ("CAST(7 AS DECIMAL(10,0))", "7"),
        ("'Ab' COLLATE UTF8_LCASE", "Ab"),
        ("CAST(7 AS SMALLINT)", 7),
    ],
)
def test_wide_numbers_and_collated_strings_are_plain_text(spark, sql, value):
    assert ids(spark, sql) == value


def test_a_collation_makes_no_two_ids_one(spark):
    source = spark.sql("SELECT id COLLATE UTF8_LCASE AS id FROM VALUES ('a'), ('A'), ('a ') AS t(id)")
    chosen = source.select(id_column(source, "id", SETTING, WHAT).alias("id"))
    assert chosen.schema["id"].dataType.simpleString() == "string"
    assert chosen.distinct().count() == 3


@pytest.mark.parametrize(
    ("sql", "id_type", "value"),
    [
        ("18446744073709551615BD", "string", "18446744073709551615"),
        ("18446744073709551615BD", "bigint", None),  # no bigint: no item's id
        ("7BD", "bigint", 7),
        ("CAST(7 AS INT)", "bigint", 7),
        ("300L", "tinyint", None),
        ("'x' COLLATE UTF8_LCASE", "string", "x"),
    ],
)
def test_ids_of_another_table_are_matched(spark, sql, id_type, value):
    source = spark.sql(f"SELECT {sql} AS id")
    assert source.select(matching_ids(source, "id", "events.item", "events table", id_type)).first()[0] == value


@pytest.mark.parametrize(("sql", "id_type"), [("7L", "string"), ("'7'", "bigint"), ("7.5BD", "string"), ("7D", "int")])
def test_ids_that_cannot_match_are_refused(spark, sql, id_type):
    source = spark.sql(f"SELECT {sql} AS id")
    with pytest.raises(InputRefused, match=r"column 'id' \(events.item\) is .*both must be strings or both integers"):
        matching_ids(source, "id", "events.item", "events table", id_type)
