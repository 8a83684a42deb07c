"""The local session: what it needs, what it says when that is missing, and that it leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drq_spark import session
from drq_spark.errors import SetupError

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
        assert session.java_major(text) == major

    @pytest.mark.parametrize("version", ["17.0.1", "21.0.2"])
    def test_new_enough(self, java_of, version):
        java = java_of(version)
        assert session.find_java() == java

    @pytest.mark.parametrize("version", ["1.8.0_402", "11.0.20", "16.0.1"])
    def test_too_old(self, java_of, version):
        java_of(version)
        with pytest.raises(SetupError, match=r"is Java (8|11|16), Spark needs 17 or newer: install Java 17 or 21"):
            session.find_java()

    def test_missing(self, tmp_path, monkeypatch):
        monkeypatch.delenv("JAVA_HOME", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(SetupError, match=r"^no java on PATH: install Java 17 or 21 .*openjdk-17-jre-headless"):
            session.find_java()

    def test_java_home_without_java(self, tmp_path, monkeypatch):
        monkeypatch.setenv("JAVA_HOME", str(tmp_path))
        with pytest.raises(SetupError, match=rf"^JAVA_HOME is {tmp_path}, but .* does not run"):
            session.find_java()

    def test_java_home_wins_over_path(self, java_of, tmp_path, monkeypatch):
        java_of("11.0.2")
        wanted = fake_java(tmp_path / "home" / "bin", "17.0.2")
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
        assert session.find_java() == wanted

    def test_one_that_fails(self, java_of):
        java_of("17.0.1", exit_code=1)
        with pytest.raises(SetupError, match="does not run"):
            session.find_java()


class TestDeltaJars:
    def test_from_the_cache_without_a_download(self, empty_cache):
        names = [f"delta-spark_{session.spark_minor()}_2.13-4.4.0.jar", "delta-storage-4.4.0.jar"]
        (empty_cache / "jars").mkdir(parents=True)
        for name in names:
            (empty_cache / "jars" / name).touch()
        assert session.delta_jars(Path("unused"), no_progress) == [empty_cache / "jars" / name for name in names]

    def test_from_a_folder_of_the_users(self, tmp_path, monkeypatch):
        names = [f"delta-spark_{session.spark_minor()}_2.13-4.4.0.jar", "delta-storage-4.4.0.jar"]
        monkeypatch.setenv("DRQ_DELTA_JARS", str(tmp_path))
        (tmp_path / names[0]).touch()
        with pytest.raises(SetupError, match=r"DRQ_DELTA_JARS is .*, which lacks delta-storage-4\.4\.0\.jar$"):
            session.delta_jars(Path("unused"), no_progress)
        (tmp_path / names[1]).touch()
        assert session.delta_jars(Path("unused"), no_progress) == [tmp_path / name for name in names]

    def test_repository_out_of_reach(self, empty_cache, tmp_path, monkeypatch):
        settings = tmp_path / "closed.xml"
        settings.write_text(CLOSED_MIRROR, encoding="utf-8")
        monkeypatch.setenv("DRQ_IVY_SETTINGS", str(settings))
        said: list[str] = []
        with pytest.raises(SetupError, match=r"^Delta's jars could not be downloaded .*Connection refused") as refusal:
            session.delta_jars(session.find_java(), said.append)
        assert "\n" not in str(refusal.value)
        assert said == [f"Downloading Delta's jars (10 MB, once) to {empty_cache / 'jars'}"]
        assert list((empty_cache / "jars").iterdir()) == []

    def test_settings_file_that_is_not_there(self, empty_cache, monkeypatch):
        monkeypatch.setenv("DRQ_IVY_SETTINGS", "/nowhere.xml")
        with pytest.raises(SetupError, match=r"DRQ_IVY_SETTINGS is /nowhere\.xml, which is not a file"):
            session.delta_jars(session.find_java(), lambda line: None)

    def test_cache_that_cannot_be_written(self, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        monkeypatch.setenv("DRQ_CACHE", str(tmp_path / "file"))
        with pytest.raises(SetupError, match=r"cache folder .* cannot be written .*DRQ_CACHE"):
            session.delta_jars(Path("unused"), lambda line: None)

    def test_proxy_of_the_environment_reaches_java(self, monkeypatch):
        environment = {"https_proxy": "http://proxy.corp:3128", "HTTP_PROXY": "http://other:80"}
        assert session._java_proxy(environment) == [
            "-Dhttp.proxyHost=other",
            "-Dhttp.proxyPort=80",
            "-Dhttps.proxyHost=proxy.corp",
            "-Dhttps.proxyPort=3128",
        ]
        assert session._java_proxy({}) == []


class TestLocalSession:
    def test_settings(self, spark):
        wanted = {
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "4",
            "spark.sql.adaptive.enabled": "true",
            "spark.sql.execution.arrow.pyspark.enabled": "true",
            "spark.python.worker.faulthandler.enabled": "true",
            "spark.ui.enabled": "false",
            "spark.master": "local[2]",
        }
        assert {key: spark.conf.get(key) for key in wanted} == wanted

    def test_delta_tables_with_all_that_the_store_needs(self, spark, tmp_path):
        table = f"delta.`{tmp_path / 'table'}`"
        columns = "id BIGINT NOT NULL COMMENT 'the id', day INT"
        spark.sql(f"CREATE TABLE {table} ({columns}) USING delta PARTITIONED BY (day)")
        spark.sql(f"ALTER TABLE {table} ADD CONSTRAINT days CHECK (day >= 0)")
        frame = spark.sql("SELECT id, CAST(id % 2 AS INT) AS day FROM RANGE(10)")
        frame.write.format("delta").mode("append").option("userMetadata", "first").save(str(tmp_path / "table"))
        one = spark.sql("SELECT 100L AS id, 1 AS day")
        one.write.format("delta").mode("overwrite").option("replaceWhere", "day = 1").save(str(tmp_path / "table"))
        with pytest.raises(Exception, match="DELTA_VIOLATE_CONSTRAINT"):
            spark.sql(f"INSERT INTO {table} VALUES (7, -1)")
        ids = {row.id for row in spark.sql(f"SELECT id FROM {table}").collect()}
        history = spark.sql(f"DESCRIBE HISTORY {table}").orderBy("version").collect()
        assert ids == {0, 2, 4, 6, 8, 100}
        assert [row.userMetadata for row in history] == [None, None, "first", None]

    def test_workers_run_this_python(self, spark):
        def interpreter(batches):
            import pyarrow as pa

            for _ in batches:
                yield pa.RecordBatch.from_pydict({"path": [sys.executable]})

        rows = spark.range(1).mapInArrow(interpreter, "path string").collect()
        assert {row.path for row in rows} == {sys.executable}

    def test_a_second_call_gives_the_same_session(self, spark):
        assert session.local_session(master="local[7]") is spark

    def test_prints_nothing_and_leaves_nothing(self, tmp_path):
        script = (
            "import atexit\n"
            "from drq_spark.session import session_for_run\n"
            "spark = session_for_run()\n"
            "many = [spark._jvm.java.lang.StringBuilder('x') for _ in range(5_000)]\n"
            "atexit.register(many.clear)\n"  # given back one by one while Java ends
            "assert spark.conf.get('spark.master') == 'local[*]'\n"
            "spark.range(9).write.saveAsTable('kept', format='delta')\n"
            "assert spark.table('kept').count() == 9\n"
            "assert spark.range(3).mapInArrow(lambda it: it, 'id long').count() == 3\n"
        )
        (tmp_path / "cwd").mkdir()
        (tmp_path / "tmp").mkdir()
        environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
        reply = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path / "cwd",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (reply.returncode, reply.stdout, reply.stderr) == (0, "", "")
        assert list((tmp_path / "cwd").iterdir()) == []
        assert list((tmp_path / "tmp").glob("drq-spark-*")) == []

    def test_spark_that_does_not_start(self, tmp_path):
        script = (
            "from drq_spark.errors import SetupError\n"
            "from drq_spark.session import local_session\n"
            "try:\n"
            "    local_session(memory='1x')\n"
            "except SetupError as error:\n"
            "    print(error)\n"
        )
        reply = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert reply.stdout.startswith("Spark does not start: ")
        assert reply.stdout.count("\n") == 1
        assert reply.stderr == ""


class TestRunningSession:
    def test_none_where_there_is_no_cluster(self):
        script = "from drq_spark.session import running_session; assert running_session() is None"
        environment = {key: value for key, value in os.environ.items() if key not in session.CLUSTER_VARIABLES}
        subprocess.run([sys.executable, "-c", script], env=environment, check=True)

    def test_the_session_of_this_process(self, spark):
        assert session.running_session() is spark
        assert session.session_for_run() is spark

    def test_under_spark_submit_its_settings_stay(self, tmp_path):
        job = tmp_path / "job.py"
        job.write_text(
            "from drq_spark.session import session_for_run\n"
            "spark = session_for_run()\n"
            "settings = ('spark.sql.shuffle.partitions', 'spark.sql.session.timeZone')\n"
            "print('SEEN', *(spark.conf.get(setting) for setting in settings))\n",
            encoding="utf-8",
        )
        settings = ["spark.sql.shuffle.partitions=3", "spark.sql.session.timeZone=Asia/Tokyo", "spark.ui.enabled=false"]
        confs = [part for setting in settings for part in ("--conf", setting)]
        submit = Path(sys.executable).parent / "spark-submit"
        environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
        reply = subprocess.run(
            [str(submit), "--master", "local[1]", *confs, str(job)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "SEEN 3 Asia/Tokyo" in reply.stdout

    def test_spark_connect(self, run_connect):
        printed = run_connect(
            "from pyspark.sql.utils import is_remote\n"
            "from drq_spark.session import session_for_run\n"
            "assert is_remote() and session_for_run() is spark\n"
            "spark.range(5).write.format('delta').save('table')\n"
            "print(spark.read.format('delta').load('table').count())\n"
        )
        assert printed == "5\n"

    def test_pyspark_not_installed(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyspark.sql", None)
        with pytest.raises(SetupError, match=r"pip install 'drq-spark\[spark,delta\]'"):
            session.running_session()

    def test_pyspark_without_a_delta_jar(self, monkeypatch):
        import pyspark

        monkeypatch.setattr(pyspark, "__version__", "5.0.1")
        with pytest.raises(SetupError, match=r"pyspark 5\.0\.1 has no matching Delta jar"):
            session.spark_minor()
