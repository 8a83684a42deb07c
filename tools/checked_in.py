"""Files that are written from the code and kept in the repository, because people read them there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def write_or_check(arguments: Sequence[str], target: Path, text: str, says: str, command: str) -> int:
    """Write a file, or with --check as the one argument say whether it is so.

    Args:
        arguments: Of the command line.
        target: The file.
        text: What it has to hold.
        says: What the text is made of, in words.
        command: What writes it.

    Returns:
        The exit code: 1 where the file is out of date, which is told on standard error.
    """
    if list(arguments) != ["--check"]:
        target.write_text(text, encoding="utf-8")
        return 0
    if target.is_file() and target.read_text(encoding="utf-8") == text:
        return 0
    print(f"{target} is not what {says}: run `{command}`", file=sys.stderr)
    return 1
