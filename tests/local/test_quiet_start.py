"""A pyspark whose private parts have changed: Spark starts the ordinary way, its messages in a file all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pyspark import SparkConf, SparkContext, java_gateway

from drq_spark.local.quiet_start import quiet_gateway


def other_launch_gateway(conf: SparkConf) -> None:
    raise AssertionError("called without knowing where its output goes")


class TestQuietGateway:
    @pytest.fixture(autouse=True)
    def no_java_yet(self, monkeypatch):
        monkeypatch.setattr(SparkContext, "_gateway", None)

    def test_none_where_the_function_is_gone(self, monkeypatch, tmp_path):
        monkeypatch.delattr(java_gateway, "launch_gateway")
        assert quiet_gateway(SparkConf(loadDefaults=False), tmp_path / "spark.log") is None

    def test_none_where_its_output_cannot_be_turned(self, monkeypatch, tmp_path):
        monkeypatch.setattr(java_gateway, "launch_gateway", other_launch_gateway)
        assert quiet_gateway(SparkConf(loadDefaults=False), tmp_path / "spark.log") is None

    def test_none_where_a_context_keeps_no_gateway(self, monkeypatch, tmp_path):
        monkeypatch.delattr(SparkContext, "_gateway")
        monkeypatch.setattr(java_gateway, "launch_gateway", lambda conf, popen_kwargs: "Java")
        assert quiet_gateway(SparkConf(loadDefaults=False), tmp_path / "spark.log") is None

    def test_a_java_that_a_stopped_session_left_is_used_again(self, monkeypatch, tmp_path):
        monkeypatch.setattr(SparkContext, "_gateway", "the Java that runs already")
        assert quiet_gateway(SparkConf(loadDefaults=False), tmp_path / "spark.log") == "the Java that runs already"
        assert list(tmp_path.iterdir()) == []


@pytest.mark.spark
def test_spark_starts_without_private_parts(tmp_path):
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pyspark import SparkContext, java_gateway\n"
        "del java_gateway.launch_gateway\n"
        "from drq_spark.session import local_session\n"
        "spark = local_session(memory='1g', small_data=True, scratch=Path(sys.argv[1]))\n"
        "spark.range(9).write.saveAsTable('kept', format='delta')\n"
        "print(spark.table('kept').count(), spark.conf.get('spark.sql.session.timeZone'))\n"
        "spark.sparkContext._jvm.org.slf4j.LoggerFactory.getLogger('test').warn('said by Spark')\n"
    )
    reply = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (reply.returncode, reply.stdout) == (0, "9 UTC\n"), reply.stderr
    assert "said by Spark" in Path(tmp_path, "spark.log").read_text(encoding="utf-8")
    assert "said by Spark" not in reply.stderr
    assert "log4j" not in reply.stderr
