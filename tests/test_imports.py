"""What an import loads: executors have numpy and pyarrow, and the command line must answer at once."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from drq_spark import outside_faults

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

HEAVY = {"torch", "faiss", "pyspark", "pandas", "scipy", "matplotlib"}

REPORT = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def packages_after_import(module: str) -> set[str]:
    """Top-level packages in `sys.modules` of a fresh interpreter that has imported one module."""
    reply = subprocess.run([sys.executable, "-c", REPORT, module], capture_output=True, text=True, check=True)
    return set(json.loads(reply.stdout))


def test_the_report_sees_a_package_that_is_imported():
    assert "pandas" in packages_after_import("pandas")


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("drq_spark.tokenizer.artifact", HEAVY),
        ("drq_spark.train.registry", HEAVY),
        ("drq_spark.session", HEAVY),
        ("drq_spark.cli", HEAVY | {"numpy", "pyarrow", "pydantic", "yaml"}),
        ("drq_spark.config", HEAVY | {"numpy", "pyarrow"}),
        ("drq_spark.array_figures", HEAVY - {"scipy"}),
    ],
)
def test_import_loads_no_more_than_it_may(module, absent):
    assert packages_after_import(module) & absent == set()


def test_completion_offers_the_public_names_alone():
    import drq_spark

    assert dir(drq_spark) == sorted(drq_spark.__all__)
    assert all(getattr(drq_spark, name) is not None for name in dir(drq_spark))


BARE_MACHINE = """
import importlib, sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top not in {*sys.stdlib_module_names, "drq_spark", *sys.argv[2:]} and not top.startswith("_"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
importlib.import_module(sys.argv[1])
"""


def import_on_bare_machine(module: str, *installed: str) -> str:
    """Standard error of an import where only the named packages exist; empty when it works."""
    command = [sys.executable, "-c", BARE_MACHINE, module, *installed]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def test_the_bare_machine_lacks_what_is_not_named():
    assert "No module named 'numpy'" in import_on_bare_machine("drq_spark.tokenizer")


@pytest.mark.parametrize(
    ("module", "installed"),
    [
        ("drq_spark", ()),
        ("drq_spark.session", ()),
        ("drq_spark.tokenizer", ("numpy",)),
        ("drq_spark.tokenizer.artifact", ("numpy", "pyarrow", "safetensors")),
        ("drq_spark.reference", ("numpy", "safetensors")),
        ("drq_spark.assign.assignment_worker", ("numpy", "pyarrow")),
        ("drq_spark.measure.collisions.bucket_spread_worker", ("numpy", "pyarrow")),
        ("drq_spark.measure.perturbation.flips_worker", ("numpy", "pyarrow")),
        ("drq_spark.measure.behaviour.scans_worker", ("numpy", "pyarrow")),
        ("drq_spark.assign.sid_udf", ("numpy", "pyarrow", "pandas", "pytz", "dateutil", "six", "pyspark", "py4j")),
        ("drq_spark.gpu.gpu_tasks_worker", ("numpy", "pyspark", "py4j")),
        ("drq_spark.formulas.overlap", ("numpy", "scipy")),
        ("drq_spark.formulas.estimates", ("numpy", "scipy")),
    ],
)
def test_import_needs_no_other_package(module, installed):
    assert import_on_bare_machine(module, *installed) == ""


ROOT = Path(__file__).parents[1]

WITHOUT = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
from drq_spark.cli import main
sys.exit(main(sys.argv[2:]))
"""
EXTRAS = "pyspark,py4j,delta,pandas,torch,scipy,threadpoolctl,matplotlib,jinja2,numba"


def command_without(packages: str, *arguments: str) -> tuple[int, str]:
    """Status of a command on a machine that lacks some packages, and all that it says."""
    command = [sys.executable, "-c", WITHOUT, packages, *arguments]
    reply = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return reply.returncode, reply.stdout + reply.stderr


@pytest.mark.parametrize(
    ("packages", "arguments", "status", "says"),
    [
        (f"{EXTRAS},numpy,pyarrow,pydantic,yaml", ["--help"], 0, "Verify a tokenizer artifact"),
        (f"{EXTRAS},numpy,pyarrow,pydantic,yaml", ["-h"], 0, "Verify a tokenizer artifact"),
        (f"{EXTRAS},numpy,pyarrow", ["--version"], 0, "drq_spark 0."),
        (f"{EXTRAS},numpy,pyarrow", ["run", "--foo"], 2, "No such option: --foo"),
        (f"{EXTRAS},numpy,pyarrow", ["run", "--items", "x", "--codes", "abc"], 2, "error: tokenizer.codes: must be"),
        (f"{EXTRAS},pyarrow", ["inspect", "tests/golden/drq"], 0, '"kind": "drq"'),
        (EXTRAS, ["run", "--items", "x", "--out", "y"], 1, "pip install 'drq-spark[spark,delta]'"),
    ],
)
def test_a_command_needs_no_other_package(packages, arguments, status, says):
    found, said = command_without(packages, *arguments)
    assert found == status, said
    assert says in said
    assert "Traceback" not in said


def test_dependencies_and_extras_bring_what_they_say():
    """Installed without an extra there is nothing of Spark, training and charts; `all` brings every other one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = {re.split("[>=<]", line)[0] for line in project["dependencies"]}
    assert base & set(EXTRAS.split(",")) == set()
    extras = project["optional-dependencies"]
    assert set(extras) == {"all", "spark", "delta", "report", "train", "fast", "executors", "dev"}
    whole = {package for name in extras if name != "dev" for package in brought(extras, name)}
    assert brought(extras, "all") == whole == {"pyspark", "delta-spark", "pandas", "scipy", "jinja2", "matplotlib",
                                               "torch", "threadpoolctl", "numba"}  # fmt: skip


def test_a_package_that_is_missing_is_told_with_an_extra_that_brings_it():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    told = outside_faults._EXTRAS
    known = {package.removesuffix("-spark") for package in brought(extras, "all")}
    assert set(told) - {"py4j"} == known - {"numba"}  # numpy does where numba is missing, and py4j comes with pyspark
    for package in set(told) - {"py4j"}:
        bring = set().union(*(brought(extras, extra) for extra in told[package].split(",")))
        assert package in {name.removesuffix("-spark") for name in bring}


def brought(extras: dict[str, list[str]], name: str) -> set[str]:
    """Packages of an extra, and of those that it names."""
    found = set()
    for line in extras[name]:
        own = re.fullmatch(r"drq-spark\[(.*)\]", line)
        inner = [brought(extras, part) for part in own[1].split(",")] if own else [{re.split("[>=<]", line)[0]}]
        found |= set().union(*inner)
    return found


def test_the_lock_names_no_registry():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--index" not in lock


BENCHMARKS = sorted(ROOT.glob("bench/*.py"))


@pytest.mark.parametrize("bench", BENCHMARKS, ids=lambda path: path.name)
def test_a_benchmark_imports_what_there_is(bench):
    """No test runs the benchmarks, so that a name that has moved would be missed."""
    for node in ast.walk(ast.parse(bench.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("drq_spark"):
            module = ROOT.joinpath(*str(node.module).split("."))
            file = module.with_suffix(".py") if module.with_suffix(".py").exists() else module / "__init__.py"
            tree = ast.parse(file.read_text(encoding="utf-8"))
            words = {name.id for name in ast.walk(tree) if isinstance(name, ast.Name)}
            words |= {part.name for part in ast.walk(tree) if isinstance(part, ast.FunctionDef | ast.ClassDef)}
            words |= {
                alias.asname or alias.name
                for part in ast.walk(tree)
                if isinstance(part, ast.ImportFrom)
                for alias in part.names
            }
            missing = [a.name for a in node.names if a.name not in words and not (module / f"{a.name}.py").exists()]
            assert not missing, f"{node.module} has no {missing}"
