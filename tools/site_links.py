"""A hook of mkdocs: on the site a link to a notebook leads to its page, where its outputs are."""

from __future__ import annotations

import re
from typing import Any

_NOTEBOOK = re.compile(r"(\]\([^()\s:]*\w)\.ipynb(#[^()\s]*)?\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs with the text of each page."""
    return _NOTEBOOK.sub(r"\1.md\2)", markdown)
