"""The jobs under spark-submit: on two executor processes that have the package only as a zip, and their exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import deltalake
import numpy as np
import pyarrow.parquet as pq
import pyspark
import pytest
from pipeline import catalogues

from drq_spark.local.java import delta_jars, find_java
from drq_spark.tokenizer.artifact import load_tokenizer

ROOT = Path(__file__).parents[2]
# Of the executors; conftest.py sets it for the driver.
QUICK_JAVA = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"


@pytest.fixture(scope="module")
def package_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as `make zip` ships it."""
    archive = tmp_path_factory.mktemp("ship") / "drq_spark.zip"
    subprocess.run([sys.executable, str(ROOT / "tools" / "package_zip.py"), str(archive)], check=True)
    return archive


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter for executors that has the libraries but not this checkout: -S leaves out editable installs."""
    script = tmp_path_factory.mktemp("bare") / "python"
    site = sysconfig.get_paths()["purelib"]
    script.write_text(f'#!/bin/sh\nexport PYTHONPATH="$PYTHONPATH:{site}"\nexec {sys.executable} -S "$@"\n')
    script.chmod(0o755)
    return script


def submit(
    folder: Path, job: str, arguments: list[str], *options: str, python: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    """Run a job under spark-submit, as the README tells."""
    home = Path(pyspark.__file__).parent
    jars = ",".join(str(jar) for jar in delta_jars(find_java(), lambda line: None))
    settings = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.sql.shuffle.partitions": "4",
        "spark.ui.enabled": "false",
        "spark.executor.extraJavaOptions": QUICK_JAVA,
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.pyspark.python": python,
        "spark.pyspark.driver.python": sys.executable,
    }
    confs = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    command = [
        str(home / "bin" / "spark-submit"),
        "--jars",
        jars,
        *confs,
        *options,
        str(ROOT / "jobs" / f"{job}.py"),
        *arguments,
    ]
    environment = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    environment.pop("PYSPARK_PYTHON", None)
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=500
    )


def run_arguments(tmp_path: Path) -> list[str]:
    """A small run, and where it goes."""
    rows = catalogues.plain(600, 12)
    items = catalogues.write(rows, tmp_path / "items", 4)
    settings = catalogues.settings("gate.rules=[]")  # 64 SIDs for 600 items would not pass
    return ["--items", items, "--out", str(tmp_path / "out"), "--levels", "2", "--codes", "8", *settings]


@pytest.mark.cluster
@pytest.mark.spark
def test_executors_assign_with_the_zip_alone(tmp_path: Path, package_zip: Path, bare_python: Path) -> None:
    options = ("--master", "local-cluster[2,1,1024]", "--py-files", str(package_zip))
    done = submit(tmp_path, "run", run_arguments(tmp_path), *options, python=str(bare_python))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    sids = deltalake.DeltaTable(str(tmp_path / "out" / "tables" / "sids")).to_pyarrow_table().sort_by("item_id")
    items = pq.read_table(tmp_path / "items").sort_by("item_id")
    tokenizer = load_tokenizer(next(str(path) for path in (tmp_path / "out" / "tokenizers").iterdir()))
    x = np.array(items["embedding"].to_pylist(), np.float32)
    assert sids["codes"].to_pylist() == tokenizer.encode(x).codes.tolist()


FAKE_CUDA = """
from contextlib import nullcontext

import torch

torch.cuda.is_available, torch.cuda.device_count, torch.cuda.device = lambda: True, lambda: 1, nullcontext
empty, moved = torch.empty, torch.Tensor.to
torch.empty = lambda *shape, pin_memory=False, **more: empty(*shape, **more)
torch.Tensor.to = lambda tensor, device: moved(tensor, "cpu" if str(device) == "cuda:0" else device)
"""


@pytest.mark.cluster
@pytest.mark.spark
@pytest.mark.parametrize("has_cuda", [True, False])
def test_tasks_use_the_gpu_that_spark_gives_them_or_say_why_not(tmp_path: Path, has_cuda: bool) -> None:
    """Spark is told of a GPU that is not there; in the first case the executors' torch multiplies on the processor."""
    script = tmp_path / "discover.sh"
    script.write_text("""echo '{"name": "gpu", "addresses": ["0"]}'""")
    script.chmod(0o755)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text(FAKE_CUDA if has_cuda else "")
    given = {
        "spark.worker.resource.gpu.amount": 1,
        "spark.worker.resource.gpu.discoveryScript": script,
        "spark.executor.resource.gpu.amount": 1,
        "spark.task.resource.gpu.amount": 1,
        "spark.executorEnv.PYTHONPATH": f"{tmp_path / 'own'}{os.pathsep}{ROOT}",
    }
    options = [part for name, value in given.items() for part in ("--conf", f"{name}={value}")]
    arguments = [*run_arguments(tmp_path), "--set", "assign.device=gpu"]
    done = submit(tmp_path, "run", arguments, "--master", "local-cluster[1,1,1024]", *options)
    if has_cuda:
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert "600 items encoded, 600 by compiled code, 600 with products of a GPU" in done.stdout
    else:
        told = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
        assert done.returncode == 1
        assert len(told) == 1
        assert "Spark gave this task cuda:0, and torch" in told[0]


def test_the_bare_interpreter_has_no_package_of_its_own(bare_python: Path) -> None:
    """Else the test above would show nothing."""
    # of an editable install the folder of settings lies among the libraries, and no module beside it
    command = [str(bare_python), "-c", "import numpy, pyarrow; import drq_spark.ship"]
    reply = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert "No module named 'drq_spark" in reply.stderr


@pytest.mark.spark
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--set", "tokenizer.level=3"], 2, "did you mean"),
        (["--items", "/nothing/here.parquet", "--out", "OUT"], 3, "there is nothing of that name"),
        (["--items", "/nothing/here.parquet", "--out", "OUT", "--set", "assign.device=gpu"], 2, "gives tasks no GPU"),
    ],
)
def test_exit_codes_reach_the_caller_of_spark_submit(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    filled = [str(tmp_path / "out") if argument == "OUT" else argument for argument in arguments]
    done = submit(tmp_path, "run", filled, "--master", "local[1]")
    assert done.returncode == code, done.stderr[-2000:]
    assert message in done.stdout  # spark-submit joins the two streams of Python
