"""The archive of Java's classes: used where it is there, and a Java or a Spark of another kind has another."""

from __future__ import annotations

import os

import pytest

from drq_spark.errors import SetupError
from drq_spark.local import class_archive as archives
from drq_spark.local import spark_settings
from drq_spark.local.class_archive import class_archive, make_class_archive


@pytest.fixture
def java(tmp_path, monkeypatch):
    monkeypatch.setenv("DRQ_CACHE", str(tmp_path / "cache"))
    binary = tmp_path / "java"
    binary.touch()
    return binary


def quiet(line: str) -> None:
    pass


def test_another_java_has_another_archive(java, tmp_path):
    before = class_archive(java)
    assert before == class_archive(java)
    link = tmp_path / "link"
    link.symlink_to(java)
    assert class_archive(link) == before
    os.utime(java, (1, 1))  # replaced in its place
    assert class_archive(java) != before


def test_another_pyspark_has_another_archive(java, tmp_path, monkeypatch):
    before = class_archive(java)
    monkeypatch.setattr(archives, "spark_jars", lambda: tmp_path / "other")
    assert class_archive(java) != before


def test_a_session_takes_it_where_it_is_there(java, tmp_path):
    def options() -> str:
        return spark_settings._java_options(tmp_path, java, quick=False)

    assert "SharedArchiveFile" not in options()
    archive = class_archive(java)
    archive.parent.mkdir(parents=True)
    archive.touch()
    assert f'"-XX:SharedArchiveFile={archive}"' in options()
    assert make_class_archive(java, quiet) == archive  # without any Java


def test_java_compiles_in_haste_for_little_data_only(java, tmp_path):
    assert "Tiered" in spark_settings._java_options(tmp_path, java, quick=True)
    assert "Tiered" not in spark_settings._java_options(tmp_path, java, quick=False)


def test_what_cannot_be_made_is_one_line_and_leaves_nothing(java, monkeypatch):
    monkeypatch.setattr(archives, "_WORKLOAD", "raise SystemExit('no Spark in this test')")
    with pytest.raises(SetupError, match=r"^Java's class archive could not be made: no Spark in this test$"):
        make_class_archive(java, quiet)
    assert list(class_archive(java).parent.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(java, tmp_path):
    (tmp_path / "cache").touch()
    with pytest.raises(SetupError, match=r"cannot be kept in .*cache.classes: "):
        make_class_archive(java, quiet)
