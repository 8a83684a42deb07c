"""A Java and Delta's jars: how they are found, and what is said when they are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from drq_spark.errors import SetupError
from drq_spark.local.java import _java_proxy, delta_jars, find_java, java_major, spark_minor

CLOSED_MIRROR = """\
<ivysettings>
  <settings defaultResolver="closed"/>
  <resolvers><ibiblio name="closed" m2compatible="true" root="http://127.0.0.1:9/maven2/"/></resolvers>
</ivysettings>
"""


def fake_java(folder: Path, version: str, exit_code: int = 0) -> Path:
    """A `java` that tells a version and nothing else."""
    java = folder / "java"
    folder.mkdir(parents=True, exist_ok=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\nexit {exit_code}\n", encoding="utf-8")
    java.chmod(0o755)
    return java


def no_progress(line: str) -> None:
    raise AssertionError(f"a download was announced: {line}")


@pytest.fixture
def java_of(tmp_path, monkeypatch):
    """Makes the machine one whose only java is of the given version."""
    monkeypatch.delenv("JAVA_HOME", raising=False)

    def machine(version: str, exit_code: int = 0) -> Path:
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
        return fake_java(tmp_path / "bin", version, exit_code)

    return machine


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DRQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DRQ_DELTA_JARS", raising=False)
    return tmp_path / "cache"


class TestJava:
    @pytest.mark.parametrize(
        ("text", "major"),
        [
            ('openjdk version "17.0.15" 2025-04-15', 17),
            ('java version "1.8.0_402"', 8),
            ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "21" 2023-09-19', 21),
            ("no such thing", None),
        ],
    )
    def test_major_version(self, text, major):
        assert java_major(text) == major

    @pytest.mark.parametrize("version", ["17.0.1", "21.0.2"])
    def test_new_enough(self, java_of, version):
        java = java_of(version)
        assert find_java() == java

    @pytest.mark.parametrize("version", ["1.8.0_402", "11.0.20", "16.0.1"])
    def test_too_old(self, java_of, version):
        java_of(version)
        with pytest.raises(SetupError, match=r"is Java (8|11|16), Spark needs 17 or newer: install Java 17 or 21"):
            find_java()

    def test_missing(self, tmp_path, monkeypatch):
        monkeypatch.delenv("JAVA_HOME", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(SetupError, match=r"^no java on PATH: install Java 17 or 21 .*openjdk-17-jre-headless"):
            find_java()

    def test_java_home_without_java(self, tmp_path, monkeypatch):
        monkeypatch.setenv("JAVA_HOME", str(tmp_path))
        with pytest.raises(SetupError, match=rf"^JAVA_HOME is {tmp_path}, but .* does not run"):
            find_java()

    def test_java_home_wins_over_path(self, java_of, tmp_path, monkeypatch):
        java_of("11.0.2")
        wanted = fake_java(tmp_path / "home" / "bin", "17.0.2")
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
        assert find_java() == wanted

    def test_one_that_fails(self, java_of):
        java_of("17.0.1", exit_code=1)
        with pytest.raises(SetupError, match="does not run"):
            find_java()


class TestDeltaJars:
    def test_from_the_cache_without_a_download(self, empty_cache):
        names = [f"delta-spark_{spark_minor()}_2.13-4.4.0.jar", "delta-storage-4.4.0.jar"]
        (empty_cache / "jars").mkdir(parents=True)
        for name in names:
            (empty_cache / "jars" / name).touch()
        assert delta_jars(Path("unused"), no_progress) == [empty_cache / "jars" / name for name in names]

    def test_from_a_folder_of_the_users(self, tmp_path, monkeypatch):
        names = [f"delta-spark_{spark_minor()}_2.13-4.4.0.jar", "delta-storage-4.4.0.jar"]
        monkeypatch.setenv("DRQ_DELTA_JARS", str(tmp_path))
        (tmp_path / names[0]).touch()
        with pytest.raises(SetupError, match=r"DRQ_DELTA_JARS is .*, which lacks delta-storage-4\.4\.0\.jar$"):
            delta_jars(Path("unused"), no_progress)
        (tmp_path / names[1]).touch()
        assert delta_jars(Path("unused"), no_progress) == [tmp_path / name for name in names]

    @pytest.mark.spark
    def test_repository_out_of_reach(self, empty_cache, tmp_path, monkeypatch):
        settings = tmp_path / "closed.xml"
        settings.write_text(CLOSED_MIRROR, encoding="utf-8")
        monkeypatch.setenv("DRQ_IVY_SETTINGS", str(settings))
        said: list[str] = []
        with pytest.raises(SetupError, match=r"^Delta's jars could not be downloaded .*Connection refused") as refusal:
            delta_jars(find_java(), said.append)
        assert "\n" not in str(refusal.value)
        assert said == [f"Downloading Delta's jars (10 MB, once) to {empty_cache / 'jars'}"]
        assert list((empty_cache / "jars").iterdir()) == []

    @pytest.mark.spark
    def test_settings_file_that_is_not_there(self, empty_cache, monkeypatch):
        monkeypatch.setenv("DRQ_IVY_SETTINGS", "/nowhere.xml")
        with pytest.raises(SetupError, match=r"DRQ_IVY_SETTINGS is /nowhere\.xml, which is not a file"):
            delta_jars(find_java(), lambda line: None)

    def test_cache_that_cannot_be_written(self, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        monkeypatch.setenv("DRQ_CACHE", str(tmp_path / "file"))
        with pytest.raises(SetupError, match=r"cache folder .* cannot be written .*DRQ_CACHE"):
            delta_jars(Path("unused"), lambda line: None)

    def test_proxy_of_the_environment_reaches_java(self, monkeypatch):
        environment = {"https_proxy": "http://proxy.corp:3128", "HTTP_PROXY": "http://other:80"}
        assert _java_proxy(environment) == [
            "-Dhttp.proxyHost=other",
            "-Dhttp.proxyPort=80",
            "-Dhttps.proxyHost=proxy.corp",
            "-Dhttps.proxyPort=3128",
        ]
        assert _java_proxy({}) == []

    def test_pyspark_without_a_delta_jar(self, monkeypatch):
        import pyspark

        monkeypatch.setattr(pyspark, "__version__", "5.0.1")
        with pytest.raises(SetupError, match=r"pyspark 5\.0\.1 has no matching Delta jar"):
            spark_minor()
