"""Write docs/cli.md from the commands themselves (`make docs`); with --check say whether it is so.

The page is checked in because people read it; it is generated so that it cannot name another option than there is.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import typer.main
from checked_in import write_or_check
from typer.core import TyperArgument, TyperCommand, TyperOption

from drq_spark import cli

TARGET = Path(__file__).parents[1] / "docs" / "cli.md"

HEAD = """\
# Commands

<!-- Written by `make docs` from drq_spark/cli/: change it there. -->

`drq COMMAND --help` says the same. `jobs/NAME.py` of the checkout is the command of that name for spark-submit
([clusters.md](clusters.md)). Settings that `--config` and `--set` take: `drq config`.
"""


def main(arguments: list[str]) -> int:
    """Write the page, or with --check compare it; 1 where it is out of date."""
    return write_or_check(arguments, TARGET, page(), "the commands say", "make docs")


def page() -> str:
    """The text of docs/cli.md."""
    commands = [
        command for command in typer.main.get_group(cli.app).commands.values() if isinstance(command, TyperCommand)
    ]
    rows = [f"| [`drq {command.name}`](#drq-{command.name}) | {_first(command)} |" for command in commands]
    parts = [HEAD, cli.EXIT_CODES, "", "| command | what it does |", "|---|---|", *rows, ""]
    return "\n".join([*parts, *(line for command in commands for line in _section(command))])


def _section(command: TyperCommand) -> list[str]:
    options = [
        parameter
        for parameter in command.params
        if isinstance(parameter, TyperOption | TyperArgument) and parameter.name != "help"
    ]
    rows = [f"| {_names(option)} | {_cell(option.help or '')} | {_default(option)} |" for option in options]
    return [
        *(f"## drq {command.name}", "", inspect.cleandoc(command.help or ""), ""),
        *("| option | what | default |", "|---|---|---|", *rows, ""),
    ]


def _first(command: TyperCommand) -> str:
    return _cell(inspect.cleandoc(command.help or "").splitlines()[0])


def _names(option: TyperOption | TyperArgument) -> str:
    if isinstance(option, TyperArgument):
        return f"`{option.name.upper()}`" if option.name else ""
    return ", ".join(f"`{name}`" for name in option.opts)


def _default(option: TyperOption | TyperArgument) -> str:
    if option.required:
        return "required"
    if option.default is None or option.default is False:
        return ""
    return f"`{option.default}`"


def _cell(text: str) -> str:
    """Text that a cell of a Markdown table can hold."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
