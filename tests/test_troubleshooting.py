"""Messages of docs/troubleshooting.md are those that the code has."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
ROWS = [line.split(" | ")[0].removeprefix("| ") for line in PAGE.splitlines() if line.startswith("| `")]
PYTHONS_OWN = {"No module named 'drq_spark'", "No module named 'numpy'", "'pyarrow'"}
MESSAGES = sorted({text for row in ROWS for text in re.findall(r"`([^`]+)`", row)} - PYTHONS_OWN)


def filled(node: ast.expr) -> str:
    """Text of a string with … for everything that is put into it."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else "…"
    if isinstance(node, ast.JoinedStr):
        return "".join(filled(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return filled(node.left) + filled(node.right)
    return "…"


@cache
def texts_of_code() -> str:
    """All strings of the package, a line each."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in (ROOT / "drq_spark").rglob("*.py")]
    strings = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr))
    return "\n".join(filled(node).replace("\n", " ") for node in strings)


def pattern(message: str) -> str:
    """A message as the code writes it: … may be what is put in, or words of its own."""
    parts = [part for part in message.split("…") if part.strip(" :.")]
    return r"[^\n]*".join(re.escape(part.strip()) for part in parts)


def test_the_page_has_messages():
    assert len(MESSAGES) > 50


def test_the_code_has_every_message():
    unknown = "no coffee on PATH: …"
    assert [text for text in [*MESSAGES, unknown] if not re.search(pattern(text), texts_of_code())] == [unknown]
