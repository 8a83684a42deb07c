"""Where a table may be: a file, a folder, a glob, Delta, a view or a table of a catalog, under any name."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
from pipeline.catalogues import plain, write
from pipeline.direct import config

from drq_spark.errors import InputRefused
from drq_spark.inputs.identity import content_fingerprint
from drq_spark.inputs.items import read_catalogue
from drq_spark.inputs.tables import read_table
from drq_spark.table_names import quoted

ROWS = 120
NAMES = ("a`b", "it's", "a.b", "a b", "Größe", "UPPER", 'say "x"', "a/b", "x*[y]")


@pytest.fixture(scope="module")
def rows():
    """Items without a bad row."""
    return plain(ROWS, 8)


def test_a_file_a_folder_a_glob_and_delta_hold_the_same_rows(spark, rows, tmp_path):
    folder = write(rows, tmp_path / "folder", 3)
    pq.write_table(rows.table(), tmp_path / "one.parquet")
    spark.read.parquet(folder).write.format("delta").save(str(tmp_path / "delta"))
    places = (folder, f"{folder}/part-*.parquet", str(tmp_path / "one.parquet"), str(tmp_path / "delta"))
    catalogues = [read_catalogue(spark, config(place)) for place in places]
    assert [catalogue.profile.rows for catalogue in catalogues] == [ROWS] * 4
    assert len({content_fingerprint(catalogue) for catalogue in catalogues}) == 1


def test_a_glob_takes_the_files_that_it_names(spark, rows, tmp_path):
    folder = write(rows, tmp_path / "folder", 3)
    assert read_table(spark, f"{folder}/part-00[01].parquet", "items table").count() == 80


@pytest.mark.parametrize("name", NAMES)
def test_a_view_of_any_name_is_read(spark, rows, tmp_path, name):
    spark.read.parquet(write(rows, tmp_path / "items")).createOrReplaceTempView(quoted(name))
    try:
        assert read_table(spark, quoted(name), "items table").count() == ROWS
    finally:
        spark.catalog.dropTempView(quoted(name))


@pytest.mark.parametrize("provider", ["parquet", "delta"])
def test_a_saved_table_is_read_by_its_qualified_name(spark, rows, tmp_path, provider):
    source = spark.read.parquet(write(rows, tmp_path / "items"))
    spark.sql("CREATE DATABASE IF NOT EXISTS shop")
    source.write.format(provider).saveAsTable(f"shop.items_{provider}")
    for name in (f"shop.items_{provider}", f"spark_catalog.shop.items_{provider}", f"`shop`.`items_{provider}`"):
        assert read_table(spark, name, "items table").count() == ROWS


@pytest.mark.parametrize("name", ["a..b", "`open", "a`b", ".", "a."])
def test_what_cannot_be_a_name_is_refused(spark, name):
    with pytest.raises(InputRefused, match="is not a table name"):
        read_table(spark, name, "items table")
