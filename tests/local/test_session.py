"""The local session: what it has, what it says when it does not start, and that it leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drq_spark import session
from drq_spark.errors import SetupError


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

    @pytest.mark.spark
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

    @pytest.mark.spark
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

    @pytest.mark.spark
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
