"""The examples for clusters in conf/ name commands, options, settings and versions that there are."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from string import Template
from types import ModuleType
from typing import Any

import pytest
import typer.main
import yaml
from packaging.requirements import Requirement

from drq_spark.addresses import has_secret
from drq_spark.cli import app
from drq_spark.config import load_config
from drq_spark.local.java import DELTA_VERSION, SPARK_MINORS, delta_jar_names, spark_jars
from drq_spark.local.spark_settings import _delta_settings
from drq_spark.outside_faults import explained

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
DELTA_SETTINGS = {
    name: value for name, value in _delta_settings([]).items() if name.startswith(("spark.sql.ext", "spark.sql.cat"))
}


def text_of(name: str) -> str:
    return (CONF / name).read_text(encoding="utf-8")


def bundle() -> dict[str, Any]:
    return yaml.safe_load(text_of("databricks/databricks.yml"))


def manifest() -> dict[str, Any]:
    return yaml.safe_load(text_of("kubernetes/spark-application.yaml"))


def steps() -> list[dict[str, Any]]:
    return json.loads(text_of("emr/steps.json"))


class Submitted:
    """A task of Airflow: what it was made with."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.after: list[Submitted] = []

    def __rshift__(self, other: Submitted) -> Submitted:
        self.after.append(other)
        return other


class Dag:
    def __init__(self, name: str, **options: Any) -> None:
        self.options = options

    def __enter__(self) -> Dag:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is open."""


@pytest.fixture
def night_of_airflow(monkeypatch: pytest.MonkeyPatch) -> Submitted:
    """The first task of the DAG, with those after it, where a plain class stands for Airflow."""
    spark = "airflow.providers.apache.spark.operators.spark_submit"
    for name in ("airflow", "airflow.sdk", *(spark.rsplit(".", n)[0] for n in range(4, -1, -1))):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["airflow.sdk"], "DAG", Dag, raising=False)
    monkeypatch.setattr(sys.modules[spark], "SparkSubmitOperator", Submitted, raising=False)
    return runpy.run_path(str(CONF / "airflow" / "semantic_ids.py"))["nightly"]


def calls_of_files() -> Iterator[tuple[str, list[str]]]:
    """Command and arguments of every job in the files that are data."""
    for task in bundle()["resources"]["jobs"]["nightly"]["tasks"]:
        command, *arguments = task["python_wheel_task"]["parameters"]
        yield command, arguments
    for step in steps():
        (job,) = (number for number, part in enumerate(step["Args"]) if part.endswith(".py"))
        yield Path(step["Args"][job]).stem, step["Args"][job + 1 :]
    yield Path(manifest()["spec"]["mainApplicationFile"]).stem, manifest()["spec"]["arguments"]


def taken(command: str, arguments: list[str]) -> dict[str, Any]:
    """What a command makes of its arguments; it must know them."""
    return typer.main.get_command(app).commands[command].make_context(command, arguments).params  # type: ignore[attr-defined]


def check_call(command: str, arguments: list[str]) -> None:
    """It would be taken as it stands: by the command line, by the settings, and by the files in conf/ and jobs/."""
    filled = [
        argument.replace("{{ ds }}", "2026-01-31").replace("{{job.start_time.iso_date}}", "2026-01-31")
        for argument in arguments
    ]
    assert (ROOT / "jobs" / f"{command}.py").is_file()
    given = taken(command, filled)
    load_config([CONF / file.name for file in given.get("config") or ()], settings=given.get("settings") or ())
    assert not any(has_secret(argument) for argument in arguments)


@pytest.mark.parametrize(("command", "arguments"), list(calls_of_files()))
def test_jobs_of_the_files_would_be_taken(command, arguments):
    check_call(command, arguments)


def test_a_call_with_an_unknown_option_would_not():
    with pytest.raises(Exception, match="No such option"):
        check_call("nightly", ["--item=main.shop.items"])


def test_jobs_of_the_dag_would_be_taken(night_of_airflow):
    (vacuum,) = night_of_airflow.after
    assert [task.options["task_id"] for task in (night_of_airflow, vacuum)] == ["nightly", "vacuum"]
    for task in (night_of_airflow, vacuum):
        assert Path(task.options["application"]).stem == task.options["task_id"]
        assert task.options["py_files"].endswith("/build/drq_spark.zip")  # where `make zip` writes it
        check_call(task.options["task_id"], task.options["application_args"])


def test_the_line_of_the_docs_would_be_taken():
    page = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^spark-submit (?:.*\\\n)*.*$", page, re.MULTILINE)
    words = shlex.split(line.replace("\\\n", " "))
    given = {value for name, value in pairwise(words) if name == "--conf"}
    assert {f"{name}={value}" for name, value in DELTA_SETTINGS.items()} <= given
    (logging,) = (value.partition("file:")[2] for value in given if "log4j2" in value)
    (job,) = (number for number, word in enumerate(words) if word.endswith(".py"))
    assert (ROOT / logging).is_file()
    check_call(Path(words[job]).stem, words[job + 1 :])


def test_the_commands_of_the_tutorial_would_be_taken():
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    calls = [shlex.split(line)[1:] for line in re.findall(r"^\.venv/bin/drq .*$", page, re.MULTILINE)]
    assert len(calls) > 4
    for command, *arguments in calls:
        taken(command, arguments)


def test_every_cluster_that_brings_no_delta_is_told_of_it(night_of_airflow):
    assert len(DELTA_SETTINGS) == 2
    assert night_of_airflow.options["conf"] == DELTA_SETTINGS
    assert DELTA_SETTINGS.items() <= manifest()["spec"]["sparkConf"].items()
    for step in steps():
        given = {value for name, value in pairwise(step["Args"]) if name == "--conf"}
        assert {f"{name}={value}" for name, value in DELTA_SETTINGS.items()} <= given


@pytest.mark.parametrize("file", ["conf/airflow/semantic_ids.py", "docs/clusters.md", "drq_spark/outside_faults.py"])
def test_coordinates_of_delta_are_those_of_the_tests(file):
    named = set(re.findall(r"io\.delta:[\w.:-]+", (ROOT / file).read_text(encoding="utf-8")))
    assert named
    assert named <= {f"io.delta:delta-spark_{minor}_2.13:{DELTA_VERSION}" for minor in SPARK_MINORS}


def test_the_message_of_a_spark_without_delta_has_its_settings():
    told = str(explained(Exception("[DATA_SOURCE_NOT_FOUND] Failed to find the data source: delta")))
    assert [f"--conf {name}={value}" in told for name, value in DELTA_SETTINGS.items()] == [True, True]


def test_the_image_has_versions_that_go_together():
    given = dict(re.findall(r"^ARG (\w+)=(\S+)$", text_of("kubernetes/Dockerfile"), re.MULTILINE))
    assert given["DELTA_VERSION"] == DELTA_VERSION
    assert given["SPARK_VERSION"].startswith(given["SPARK_MINOR"])
    assert manifest()["spec"]["sparkVersion"] == given["SPARK_VERSION"]
    allowed = {Requirement(text).name: Requirement(text).specifier for texts in EXTRAS.values() for text in texts}
    assert given["SPARK_VERSION"] in allowed["pyspark"]
    assert given["DELTA_VERSION"] in allowed["delta-spark"]
    hadoop = next(spark_jars().glob("hadoop-client-api-*.jar")).stem.removeprefix("hadoop-client-api-")
    assert manifest()["spec"]["deps"]["packages"] == [f"org.apache.hadoop:hadoop-aws:{hadoop}"]


def test_the_image_adds_the_jars_of_a_local_session():
    given = dict(re.findall(r"^ARG (\w+)=(\S+)$", text_of("kubernetes/Dockerfile"), re.MULTILINE))
    added = re.findall(r"^ADD .*/(\S+\.jar) /opt/spark/jars/$", text_of("kubernetes/Dockerfile"), re.MULTILINE)
    names = [Template(name).substitute(given) for name in added]
    assert names == delta_jar_names(given["SPARK_MINOR"])


def test_what_the_manifest_runs_is_in_the_image():
    copied = re.findall(r"^COPY (.+) (\S+)$", text_of("kubernetes/Dockerfile"), re.MULTILINE)
    there = {f"{to.rstrip('/')}/".replace(f"/{name}/", "/") + name for names, to in copied for name in names.split()}
    named = set(re.findall(r"/opt/drq_spark/(\S+)", text_of("kubernetes/spark-application.yaml")))
    assert named == {"jobs/nightly.py", "conf/prod.yaml"}
    assert {f"/opt/drq_spark/{name.partition('/')[0]}" for name in named} <= there
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_image_copies_what_is_there():
    copied = re.findall(r"^COPY (.+) \S+$", text_of("kubernetes/Dockerfile"), re.MULTILINE)
    assert [name for line in copied for name in line.split() if not (ROOT / name).exists()] == []


def test_libraries_of_the_bundle_are_those_of_the_extras():
    tasks = bundle()["resources"]["jobs"]["nightly"]["tasks"]
    for task in tasks:
        packages = {library["pypi"]["package"] for library in task["libraries"] if "pypi" in library}
        assert packages == {*EXTRAS["report"], *EXTRAS["train"], *EXTRAS["fast"]}
        wheel = task["python_wheel_task"]
        assert (wheel["package_name"], wheel["entry_point"]) == ("drq_spark", "drq")


def test_what_the_bundle_takes_along_is_there():
    made, here = bundle(), CONF / "databricks"
    folders = [(here / path).resolve() for path in made["sync"]["paths"]]
    assert all(folder.is_dir() for folder in folders)
    assert (here / made["artifacts"]["drq_spark"]["path"]).resolve() == ROOT == Path(os.path.commonpath(folders))


def test_variables_and_clusters_of_the_bundle_are_defined():
    made = bundle()
    (job,) = made["resources"]["jobs"].values()
    assert set(re.findall(r"\$\{var\.(\w+)\}", text_of("databricks/databricks.yml"))) == set(made["variables"])
    for target in made["targets"].values():
        assert set(target.get("variables", {})) <= set(made["variables"])
    assert {task["job_cluster_key"] for task in job["tasks"]} == {key["job_cluster_key"] for key in job["job_clusters"]}


@pytest.mark.parametrize("file", ["emr/pack_environment.sh", "kubernetes/Dockerfile"])
def test_extras_that_are_installed_are_there(file):
    (named,) = re.findall(r"\[([\w,]+)\]\"", text_of(file))
    assert set(named.split(",")) <= set(EXTRAS)


def test_the_shell_can_read_the_script():
    subprocess.run([str(shutil.which("sh")), "-n", str(CONF / "emr" / "pack_environment.sh")], check=True)


def test_log_settings_are_pairs_and_quieten_spark():
    lines = [line for line in text_of("log4j2.properties").splitlines() if line and not line.startswith("#")]
    given = dict(line.split(" = ") for line in lines)
    assert given["rootLogger.level"] == "warn"
    assert given["rootLogger.appenderRef.stderr.ref"] == given["appender.console.name"]
