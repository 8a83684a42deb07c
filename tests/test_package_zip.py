"""The zip that executors get: what it holds, and that it is enough where numpy and pyarrow are all there is."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[1]


def make_zip(target: Path) -> Path:
    subprocess.run([sys.executable, str(ROOT / "tools" / "package_zip.py"), str(target)], check=True)
    return target


@pytest.fixture(scope="module")
def package_zip(tmp_path_factory):
    return make_zip(tmp_path_factory.mktemp("zip") / "drq_spark.zip")


# -S: no editable install; of the libraries only those that are named can be found.
FROM_ZIP = """
import sys
archive, site, code, *installed = sys.argv[1:]
sys.path[:0] = [archive, site]

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        known = {*sys.stdlib_module_names, "drq_spark", *installed}
        if installed and top not in known and not top.startswith("_"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
exec(code)
"""


def run_from_zip(archive: Path, code: str, *installed: str) -> subprocess.CompletedProcess[str]:
    """Run code on a machine that has the package as a zip and these libraries; all of them where none is named."""
    site = sysconfig.get_paths()["purelib"]
    command = [sys.executable, "-S", "-c", FROM_ZIP, str(archive), site, code, *installed]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=archive.parent)


def test_it_holds_the_package_without_its_catalogues(package_zip):
    package = ROOT / "drq_spark"
    expected = {
        f"drq_spark/{file.relative_to(package).as_posix()}"
        for pattern in ("*.py", "*.j2", "*.css", "*.js", "py.typed")
        for file in package.rglob(pattern)
    }
    held = set(zipfile.ZipFile(package_zip).namelist())
    assert expected <= held
    assert not [name for name in held if "/data/" in name or "__pycache__" in name]


def test_settings_files_are_in_the_zip_and_in_the_wheel(package_zip):
    there = {f"conf/{file.name}" for file in (ROOT / "conf").glob("*.yaml")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert wheel == {name: f"drq_spark/{name}" for name in there}
    assert set(wheel.values()) <= set(zipfile.ZipFile(package_zip).namelist())


def test_the_same_files_make_the_same_zip(package_zip, tmp_path):
    assert make_zip(tmp_path / "again.zip").read_bytes() == package_zip.read_bytes()


def workers() -> list[str]:
    """What runs on executors, as the import rules have it."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (rule,) = (rule for rule in rules if rule["name"].startswith("What runs on executors"))
    return rule["source_modules"]


def test_executors_need_numpy_and_pyarrow_only(package_zip):
    lines = ["import importlib", *(f"print(importlib.import_module({name!r}).__file__)" for name in workers())]
    done = run_from_zip(package_zip, "\n".join(lines), "numpy", "pyarrow")
    assert done.stderr == ""
    assert [line.startswith(str(package_zip)) for line in done.stdout.splitlines()] == [True] * len(workers())


def test_that_machine_lacks_what_is_not_named(package_zip):
    assert "No module named 'pyarrow'" in run_from_zip(package_zip, f"import {workers()[0]}", "numpy").stderr


def test_pages_find_their_templates_in_the_zip(package_zip):
    pages = {file.parent.parent.name: file.name for file in (ROOT / "drq_spark").rglob("templates/*.html.j2")}
    assert {"report", "compare", "upkeep"} <= set(pages)
    lines = [
        "from drq_spark.page.environment import environment",
        *(f"environment('drq_spark.{room}').get_template({name!r})" for room, name in pages.items()),
        "from importlib.resources import files",
        "assert files('drq_spark.report').joinpath('templates/explorer.js').read_text()",
    ]
    done = run_from_zip(package_zip, "\n".join(lines), "jinja2", "markupsafe")
    assert done.stderr == ""


def test_settings_are_printed_from_the_zip(package_zip):
    done = run_from_zip(
        package_zip, "from drq_spark.cli import main; main(['config', 'prod']); assert 'pyspark' not in sys.modules"
    )
    assert done.stdout == (ROOT / "conf" / "prod.yaml").read_text(encoding="utf-8")
