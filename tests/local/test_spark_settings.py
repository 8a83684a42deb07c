"""Java's heap follows what the machine or the container has."""

from __future__ import annotations

import pytest

from drq_spark.local import spark_settings

MIB, GIB = 2**20, 2**30


@pytest.mark.parametrize(
    ("has", "heap"),
    [(64 * GIB, "8192m"), (24 * GIB, "6144m"), (2 * GIB, "1024m"), (1536 * MIB, "768m"), (GIB, "512m")],
)
def test_the_heap_is_a_quarter_within_bounds(monkeypatch, has, heap):
    monkeypatch.setattr(spark_settings, "memory_limit", lambda: has)
    assert spark_settings.default_heap() == heap


def test_java_optimizes_rarely_where_it_optimizes_at_all(tmp_path):
    java = tmp_path / "java"
    java.touch()
    quick, thorough = (spark_settings._java_options(tmp_path, java, quick=quick) for quick in (True, False))
    assert "-XX:TieredStopAtLevel=1" in quick
    assert "Tier4" not in quick
    assert "-XX:Tier4CompileThreshold=150000" in thorough
    assert "TieredStopAtLevel" not in thorough


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, True),
        ({"JAVA_TOOL_OPTIONS": "-Xmx1g -XX:+UseStringDeduplication"}, True),
        ({"JAVA_TOOL_OPTIONS": "-Xmx1g -XX:+UseG1GC"}, False),
        ({"JDK_JAVA_OPTIONS": "-XX:+UseZGC"}, False),
        ({"SPARK_SUBMIT_OPTS": "-XX:+UseSerialGC -Xmx1g"}, False),
    ],
    ids=["nothing", "others", "g1", "z", "serial"],
)
def test_a_user_names_the_collector(monkeypatch, tmp_path, options, named):
    java = tmp_path / "java"
    java.touch()
    for name in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "SPARK_SUBMIT_OPTS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in options.items():
        monkeypatch.setenv(name, value)
    assert ("-XX:+UseParallelGC" in spark_settings._java_options(tmp_path, java, quick=False)) == named
