"""Write conf/base.yaml from the settings in drq_spark/config/ (`make config`); with --check say whether it is so.

The file is checked in because people read and copy it; it is generated so that it cannot tell another default than
the code has.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from checked_in import write_or_check

from drq_spark.config import Config, Section

TARGET = Path(__file__).parents[1] / "conf" / "base.yaml"

HEAD = """\
# Every setting with its default: what a run uses where no file and no option says otherwise.
# Written by `make config` from drq_spark/config/. Put your own values into a file of their own and give it with
# --config; a later --config wins over an earlier one, --set section.key=value over both.
"""


def main(arguments: list[str]) -> int:
    """Write the file, or with --check compare it; 1 where it is out of date."""
    return write_or_check(arguments, TARGET, base_yaml(), "drq_spark/config/ says", "make config")


def base_yaml() -> str:
    """The text of conf/base.yaml."""
    return HEAD + "\n" + "\n".join(_lines(Config(), 0)) + "\n"


def _lines(section: Section, depth: int) -> list[str]:
    indent = "  " * depth
    lines: list[str] = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            head = (type(value).__doc__ or "").splitlines()[0]
            blank = [""] if lines and depth == 0 else []
            lines += [*blank, f"{indent}# {head}", f"{indent}{name}:", *_lines(value, depth + 1)]
        else:
            blank = [""] if depth == 0 else []
            comment = f"{indent}# {field.description}"
            lines += [*blank, comment, f"{indent}{name}:{_value(section.model_dump(mode='json')[name], indent)}"]
    return lines


def _value(value: Any, indent: str) -> str:
    if isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        entries = ({key: part for key, part in entry.items() if part is not None} for entry in value)
        return "".join(f"\n{indent}  - {_flow(entry)}" for entry in entries)
    return f" {_flow(value)}"


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000)
    return text.removesuffix("...\n").strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
