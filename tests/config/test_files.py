"""The files in conf/ say what the code does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from drq_spark.config import Config, load_config

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"


def leaves(settings: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of every setting."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def written(name: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / name).read_text(encoding="utf-8"))


def test_base_is_the_defaults():
    assert load_config([CONF / "base.yaml"]) == Config()


def test_base_names_every_setting():
    assert {key for key, _ in leaves(written("base.yaml"))} == {key for key, _ in leaves(Config().model_dump())}


def test_every_setting_in_base_has_a_comment():
    lines = (CONF / "base.yaml").read_text(encoding="utf-8").splitlines()
    keys = [number for number, line in enumerate(lines) if ":" in line and not line.lstrip().startswith(("#", "-"))]
    bare = [lines[number] for number in keys if not lines[number - 1].lstrip().startswith("# ")]
    assert len(keys) > 30
    assert bare == []


def test_base_is_what_the_generator_writes():
    command = [sys.executable, str(ROOT / "tools" / "base_config.py"), "--check"]
    reply = subprocess.run(command, capture_output=True, text=True, check=False)
    assert reply.returncode == 0, reply.stderr


@pytest.mark.parametrize("name", ["local.yaml", "prod.yaml"])
def test_environment_files_hold_differences_only(name):
    base = dict(leaves(written("base.yaml")))
    same = [key for key, value in leaves(written(name)) if base[key] == value]
    assert same == []
    assert load_config([CONF / "base.yaml", CONF / name]) == load_config([CONF / name]) != Config()
