"""A run is done again where anything that went in is different, and only there."""

from __future__ import annotations

import os
from datetime import date, datetime

import pyarrow as pa
import pytest
from pipeline.catalogues import clustered, write
from pipeline.direct import config

from drq_spark.inputs.identity import items_fingerprint
from drq_spark.inputs.items import read_catalogue
from drq_spark.inputs.pinning import pin
from drq_spark.pipeline import begin
from drq_spark.progress import SILENT

DIM = 8


@pytest.fixture
def begun(spark, tmp_path_factory):
    x = clustered(40, DIM)

    def run_id(order=range(40), kinds=("x", "y", "x", None), vectors=x, items="ab"):
        folder, order = tmp_path_factory.mktemp("in"), list(order)
        ids = [str(number) for number in order]
        rows = pa.table({"item_id": ids, "embedding": x[order].tolist(), "kind": [kinds[n % 4] for n in order]})
        later = pa.table({"item_id": ids, "embedding": vectors[order].tolist()})
        acts = pa.table({"user_id": [1, 1], "item_id": list(items), "timestamp": [1, 2]})
        settings = config(
            write(rows, folder / "items"), "items.attributes=[kind]", f"store.out={folder}", "items.identity=content",
            f"events.path={write(acts, folder / 'events')}",
            f"measure.embeddings_after={write(later, folder / 'later')}",
        )  # fmt: skip
        return begin(spark, settings, date(2026, 1, 1), datetime(2026, 1, 1), SILENT)[0].state.run_id

    return run_id


def test_every_table_counts_by_its_rows_alone_where_content_is_asked_for(begun):
    first = begun()
    assert begun(order=reversed(range(40))) == first
    moved = clustered(40, DIM)
    moved[3] += 1
    changed = [begun(kinds=("x", "y", None, "x")), begun(vectors=moved), begun(items="ba")]
    assert len({first, *changed}) == 4


def stands_for(spark, source, *sets) -> str:
    settings, inputs = pin(spark, config(str(source), *sets))
    return items_fingerprint(settings, read_catalogue(spark, settings), inputs)


def test_files_are_known_by_their_names_sizes_and_times(spark, tmp_path):
    table = pa.table({"item_id": ["a", "b"], "embedding": clustered(2, DIM).tolist()})
    source = write(table, tmp_path / "items", 1)
    by_version, by_content = (stands_for(spark, source, *sets) for sets in ((), ("items.identity=content",)))
    assert stands_for(spark, source) == by_version
    [file] = (tmp_path / "items").iterdir()
    os.utime(file, (1, 1))
    assert stands_for(spark, source) != by_version
    assert stands_for(spark, source, "items.identity=content") == by_content != by_version


def test_a_delta_table_is_known_by_its_id_and_version(spark, tmp_path):
    rows = spark.createDataFrame([("a", [1.0] * DIM), ("b", [2.0] * DIM)], "item_id string, embedding array<float>")
    found = []
    for folder, times in (("one", 2), ("other", 1)):
        for _ in range(times):
            rows.write.format("delta").mode("overwrite").save(str(tmp_path / folder))
            found.append(stands_for(spark, tmp_path / folder))
    assert len(set(found)) == 3  # two versions of one, the first version of the other
    assert stands_for(spark, f"{tmp_path / 'one'}@v0") == found[0]


def test_what_a_view_takes_of_its_files_counts(spark, tmp_path):
    table = pa.table({"item_id": ["a", "b"], "embedding": clustered(2, DIM).tolist()})
    items = spark.read.parquet(write(table, tmp_path / "items", 1))
    for item in ("a", "b"):
        items.where(f"item_id = '{item}'").createOrReplaceTempView(f"view_of_{item}")
    assert stands_for(spark, "view_of_a") != stands_for(spark, "view_of_b")
    items.write.saveAsTable("identified_items", format="parquet", mode="overwrite")
    assert stands_for(spark, "identified_items") != stands_for(spark, "identified_items", "items.identity=content")
