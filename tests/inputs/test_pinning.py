"""Inputs stay what they were when a run began: Delta tables by version, files by what is seen of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from drq_spark.config import load_config
from drq_spark.errors import InputRefused
from drq_spark.inputs.pinning import pin
from drq_spark.inputs.tables import read_table


def rows(seed: int, count: int = 5) -> pa.Table:
    """A small items table."""
    x = np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)
    return pa.table({"item_id": [f"i{n}" for n in range(count)], "embedding": x.tolist()})


PLAINLY = {"compression": "none", "use_dictionary": False, "write_statistics": False}  # other numbers, the same size


def settings(**paths: str):
    """Settings with these places."""
    return load_config(options={name.replace("__", "."): path for name, path in paths.items()})


@pytest.fixture
def parquet(tmp_path):
    """A folder with two Parquet files."""
    folder = tmp_path / "items"
    folder.mkdir()
    for part in range(2):
        pq.write_table(rows(part), folder / f"part-{part}.parquet", **PLAINLY)
    return folder


def test_a_delta_folder_and_a_delta_table_are_read_at_one_version(spark, tmp_path):
    folder, name = str(tmp_path / "items"), "pinned_events"
    for seed in range(2):
        df = spark.createDataFrame(rows(seed))
        df.write.format("delta").mode("overwrite").save(folder)
        df.write.format("delta").mode("overwrite").saveAsTable(name)
    config, inputs = pin(spark, settings(items__path=folder, events__path=name))
    spark.createDataFrame(rows(2, 9)).write.format("delta").mode("overwrite").save(folder)
    spark.createDataFrame(rows(2, 9)).write.format("delta").mode("overwrite").saveAsTable(name)
    assert (config.items.path, config.events.path) == (f"{folder}@v1", f"{name}@v1")
    assert inputs.versions == {"items": 1, "events": 1}
    expected = sorted(rows(1).column("embedding").to_pylist())
    for source in (config.items.path, config.events.path):
        read = read_table(spark, source, "table").toArrow()
        assert sorted(np.float32(read.column("embedding").to_pylist()).tolist()) == expected
    inputs.refuse_changes()
    assert pin(spark, config)[0] == config  # what is pinned stays pinned
    assert read_table(spark, folder, "table").count() == 9


def test_a_folder_that_is_called_like_a_version_is_a_folder(spark, tmp_path):
    folder = tmp_path / "items@v3"
    folder.mkdir()
    pq.write_table(rows(0), folder / "part.parquet")
    config, inputs = pin(spark, settings(items__path=str(folder)))
    assert config.items.path == str(folder)
    assert inputs.versions == {}
    assert read_table(spark, str(folder), "table").count() == 5


def another(folder: Path) -> None:
    """A file more."""
    pq.write_table(rows(7), folder / "part-7.parquet")


def gone(folder: Path) -> None:
    """A file less."""
    (folder / "part-0.parquet").unlink()


def again(folder: Path) -> None:
    """Other rows of the same size in the same file."""
    file = folder / "part-0.parquet"
    before = file.stat()
    pq.write_table(rows(8), file, **PLAINLY)
    assert file.stat().st_size == before.st_size
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 2_000_000))


@pytest.mark.parametrize("change", [another, gone, again])
@pytest.mark.parametrize("form", ["{}", "{}/*.parquet", "file://{}"])
def test_files_that_change_are_refused(spark, parquet, change, form):
    _, inputs = pin(spark, settings(items__path=form.format(parquet)))
    inputs.refuse_changes()
    change(parquet)
    with pytest.raises(
        InputRefused, match=r"items table '.*' has changed while the run went on: start again"
    ) as refused:
        inputs.refuse_changes()
    assert "\n" not in str(refused.value)


def test_tables_and_views_of_files_are_watched_by_their_files(spark, tmp_path, parquet):
    spark.read.parquet(str(parquet)).createOrReplaceTempView("watched")
    _, inputs = pin(spark, settings(items__path="watched", sids__path=str(parquet / "part-1.parquet")))
    inputs.refuse_changes()
    again(parquet)
    with pytest.raises(InputRefused, match="'watched' has changed"):
        inputs.refuse_changes()


def test_what_is_not_there_is_left_to_whoever_reads_it(spark, tmp_path):
    config, inputs = pin(spark, settings(items__path=f"{tmp_path}/nothing", events__path="no.such", sids__path="a..b"))
    assert config.items.path == f"{tmp_path}/nothing"
    inputs.refuse_changes()
