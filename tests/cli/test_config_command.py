"""`drq config`: the files in conf/ as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drq_spark.cli import entry_point, main

CONF = Path(__file__).parents[2] / "conf"


def test_without_a_name_every_setting_is_printed(capsys):
    assert main(["config"]) == 0
    assert capsys.readouterr().out == (CONF / "base.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [file.stem for file in CONF.glob("*.yaml")])
def test_every_file_has_a_name(name, capsys):
    assert main(["config", name]) == 0
    assert capsys.readouterr().out == (CONF / f"{name}.yaml").read_text(encoding="utf-8")


def test_another_name_is_refused_with_those_there_are(capsys):
    assert main(["config", "prd"]) == 2
    said = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert "no settings are named 'prd': did you mean 'prod'? there are base: every setting" in said


def test_the_entry_point_returns_on_success_and_exits_on_failure(monkeypatch):
    monkeypatch.setattr("sys.argv", ["drq", "config"])
    entry_point()
    monkeypatch.setattr("sys.argv", ["drq", "config", "prd"])
    with pytest.raises(SystemExit, match="2"):
        entry_point()
