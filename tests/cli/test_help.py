"""What `drq --help` says fits 80 columns, and is so."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from drq_spark.cli import EXIT_CODES, app
from drq_spark.cli.application import COMMANDS
from drq_spark.config import Config
from drq_spark.errors import DrqError


def shown(*arguments: str) -> list[str]:
    result = CliRunner().invoke(app, [*arguments, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    return result.stdout.splitlines()


def test_no_line_about_a_command_is_cut():
    lines = shown()
    for command, short in COMMANDS:
        (line,) = (line for line in lines if line.split()[:1] == [command.__name__])
        assert line.endswith(short)
        assert len(line) <= 80


@pytest.mark.parametrize("command", [command.__name__ for command, _ in COMMANDS])
def test_every_command_fits_and_tells_its_exit_codes(command):
    lines = shown(command)
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert EXIT_CODES in text
    assert "list[" not in text  # types of Python are no words for users


def test_defaults_in_words_are_those_of_the_settings():
    text = " ".join(" ".join(shown("run")).split())
    config = Config()
    assert f"{config.tokenizer.name} without it" in text
    assert f"Codes in a SID; {config.tokenizer.levels} without it" in text
    assert f"; {config.tokenizer.codes} without it" in text
    assert f"Of the sample and of training; {config.seed} without it" in text


def test_all_exit_codes_of_errors_are_told():
    def below(kind: type[DrqError]) -> set[int]:
        return {kind.exit_code}.union(*map(below, kind.__subclasses__()))

    assert all(f"{code} " in EXIT_CODES for code in below(DrqError))
