"""What `make` says on a machine that lacks something: one line, and a status that is not zero."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


class Machine:
    """A machine with a shell, the named programs of this one, and fakes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in ("sh", "sed", "head", "grep", "id", "rm", "mktemp", "ln"):
            found = shutil.which(name)
            assert found is not None
            (self.bin / name).symlink_to(found)

    def fake(self, name: str, body: str) -> Path:
        """A program that runs these lines of shell."""
        program = self.bin / name
        program.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        program.chmod(0o755)
        return program

    def run(self, script: str, *arguments: str, **variables: str) -> tuple[int, str]:
        """Status of a script of setup/ and what it says."""
        reply = subprocess.run(
            ["sh", str(ROOT / "setup" / script), *arguments],
            cwd=self.folder,
            env={"PATH": str(self.bin), **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        return reply.returncode, reply.stdout + reply.stderr

    def calls(self) -> list[str]:
        """What the fakes have noted in the file `calls`."""
        return (self.folder / "calls").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


class TestJava:
    @pytest.mark.parametrize("version", ["17.0.15", "21", "25-ea"])
    def test_silent_where_java_is_new_enough(self, machine, version):
        machine.fake("java", f"echo 'openjdk version \"{version}\" 2025-04-15' >&2")
        assert machine.run("java.sh") == (0, "")

    @pytest.mark.parametrize(("version", "major"), [("1.8.0_402", 8), ("11.0.2", 11)])
    def test_too_old(self, machine, version, major):
        java = machine.fake("java", f"echo 'java version \"{version}\"' >&2")
        status, said = machine.run("java.sh")
        assert status == 1
        assert said.startswith(f"drq_spark: {java} is Java {major}, Spark needs 17 or newer: install Java 17 or 21")
        assert said.count("\n") == 1

    def test_missing(self, machine):
        status, said = machine.run("java.sh")
        assert status == 1
        assert said.startswith("drq_spark: no java on PATH: install Java 17 or 21 (Debian, Ubuntu: apt-get install")
        assert said.count("\n") == 1

    def test_java_home_without_java(self, machine):
        machine.fake("java", "echo 'openjdk version \"17\"' >&2")
        status, said = machine.run("java.sh", JAVA_HOME="/nowhere")
        assert status == 1
        assert said.startswith("drq_spark: /nowhere/bin/java does not run: install Java")

    def test_root_on_debian_gets_one_installed(self, machine):
        machine.fake("id", "echo 0")
        java = machine.fake("java-17", "echo 'openjdk version \"17.0.1\"' >&2")
        machine.fake("apt-get", f'case "$*" in *install*openjdk-17*) ln -s {java} {machine.bin}/java;; esac')
        assert machine.run("java.sh") == (0, "drq_spark: no java on PATH: installing one with apt-get\n")

    def test_others_are_told_what_to_install(self, machine):
        machine.fake("id", "echo 1000")
        machine.fake("apt-get", "echo called >> calls")
        assert machine.run("java.sh")[0] == 1
        assert not (machine.folder / "calls").exists()


class TestEnvironment:
    def test_python_missing(self, machine):
        status, said = machine.run("environment.sh", ".venv", "python3")
        assert (status, said.count("\n")) == (1, 1)
        assert said.startswith("drq_spark: no python3 here: install Python 3.10 or newer, or name one: make PYTHON=")

    def test_python_too_old(self, machine):
        machine.fake("python3", "echo 3.8; exit 1")
        status, said = machine.run("environment.sh", ".venv", "python3")
        assert (status, said.count("\n")) == (1, 1)
        assert said.startswith("drq_spark: python3 is Python 3.8, 3.10 or newer is needed")

    def test_index_out_of_reach_without_uv(self, machine):
        machine.fake("python3", 'case "$*" in *version_info*) echo 3.12;; *--version) ;; *) exit 1;; esac')
        status, said = machine.run("environment.sh", ".venv", "python3")
        assert status == 1
        assert said.splitlines()[-1].startswith("drq_spark: uv cannot be fetched: the Python package index is out of")

    def test_python_without_pip_and_venv(self, machine):
        machine.fake("id", "echo 1000")
        machine.fake("python3", 'case "$*" in *version_info*) echo 3.12;; *) exit 1;; esac')
        status, said = machine.run("environment.sh", ".venv", "python3")
        assert status == 1
        assert said.splitlines()[-1].startswith("drq_spark: python3 has no pip: install uv or pip")

    def test_index_out_of_reach_with_uv(self, machine):
        machine.fake("python3", "echo 3.12")
        machine.fake("uv", 'case "$1" in venv) ;; *) exit 1;; esac')
        status, said = machine.run("environment.sh", ".venv", "python3")
        assert status == 1
        assert said.splitlines()[-1].startswith("drq_spark: the Python package index is out of reach")

    def test_installs_the_lock_and_this_checkout(self, machine):
        machine.fake("python3", "echo 3.12")
        machine.fake("uv", 'echo "$*" >> calls')
        assert machine.run("environment.sh", ".venv", "python3") == (0, "")
        assert machine.calls() == [
            "venv --quiet --python python3 .venv",
            "pip sync --python .venv/bin/python --offline requirements.lock",
            "pip install --python .venv/bin/python --offline --no-deps --editable .",
        ]

    def test_installs_another_lock_where_one_is_named(self, machine):
        machine.fake("python3", "echo 3.12")
        machine.fake("uv", 'echo "$*" >> calls')
        assert machine.run("environment.sh", ".venv", "python3", "newest.lock") == (0, "")
        assert "pip sync --python .venv/bin/python --offline newest.lock" in machine.calls()


class TestContinuousIntegration:
    """`.ci/run` on a machine whose `make` does what it is told."""

    def ended(self, machine, failing):
        for name in ("dirname", "mkdir", "touch", "tee", "tail"):
            (machine.bin / name).symlink_to(shutil.which(name))
        machine.fake(
            "make",
            f"""case "$*" in
            {failing}*) echo "$1 is broken"; exit 2;; test\\ *) echo "7 passed";; *) echo "$1";; esac""",
        )
        (machine.folder / ".ci").mkdir()
        script = shutil.copy(ROOT / ".ci" / "run", machine.folder / ".ci")
        reply = subprocess.run(["sh", script], env={"PATH": str(machine.bin)}, stdout=subprocess.PIPE, text=True)
        return reply.returncode, reply.stdout.splitlines()

    @pytest.mark.parametrize("failing", ["--keep-going lint", "test-spark40", "test ", "site"])
    def test_whatever_fails_all_are_tried_and_the_last_line_is_that_of_the_tests(self, machine, failing):
        status, said = self.ended(machine, failing.replace(" ", "\\ "))
        tests = "test is broken" if failing == "test " else "7 passed"
        assert status == 1
        assert [said[-1], len(said)] == [tests, 5]
        assert [line.split()[0] for line in said[:2] + said[3:4]] == ["--keep-going", "test-spark40", "site"]

    def test_all_is_well(self, machine):
        assert self.ended(machine, "nothing") == (0, ["--keep-going", "test-spark40", "7 passed", "site", "7 passed"])


class TestMakefile:
    def test_the_tests_leave_pages_of_notebooks_where_the_site_takes_them_from(self):
        def recipe(*arguments):
            command = ["make", "--dry-run", "--always-make", *arguments]
            return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout

        environment = {**os.environ, "MAKEFLAGS": ""}
        assert "--notebook-pages=build/site/notebooks" in recipe("test")
        assert "tools/notebook_pages.py notebooks/06_nights.ipynb build/site/notebooks" in recipe("site")

    def test_help_names_every_target_for_users(self):
        environment = {**os.environ, "MAKEFLAGS": ""}
        command = ["make", "--silent", "help"]
        reply = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        for target in ("make demo", "make test", "make test-fast", "make lint", "make canary"):
            assert target in reply.stdout

    def test_lock_holds_no_address(self):
        lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
        assert "pyspark==" in lock
        assert "://" not in lock
        assert "--index" not in lock
