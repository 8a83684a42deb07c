"""Write notebooks as pages of the site, with what their cells show: notebook_pages.py NOTEBOOK .. FOLDER

Each one is run from top to bottom in a kernel of its own; nothing is taken from an earlier run. Beside the page NAME.md
lies NAME_files with pictures and the reports that the notebook shows in place. `make test` leaves the same pages of the
notebooks that it runs.
"""

from __future__ import annotations

import re
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient

_FRAME = re.compile(r'<iframe srcdoc="(?P<page>[^"]*)"(?P<more>[^>]*)></iframe>')
_LOOKS = re.compile(r'<style scoped>.*?</style>| border="1" class="dataframe"| style="[^"]*"', re.DOTALL)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main(arguments: list[str]) -> None:
    """Run the notebooks and write their pages."""
    *notebooks, to = map(Path, arguments)
    for path in notebooks:
        write_page(executed(path), path.stem, to)


def executed(path: Path) -> Any:
    """The notebook with its outputs, run in a folder of its own."""
    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    with TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    return notebook


def write_page(notebook: Any, name: str, to: Path) -> None:
    """Write the page of an executed notebook as `to`/NAME.md; its files first, for the page tells that all is there."""
    page, files = as_page(notebook, name)
    folder = to / f"{name}_files"
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    (to / f"{name}.md").write_text(page, encoding="utf-8")


def as_page(notebook: Any, name: str) -> tuple[str, dict[str, bytes]]:
    """A page of Markdown, and the files in NAME_files that it shows.

    What a cell prints stands before what it shows; texts that follow each other are one block. Its standard error is
    left out: it is Spark's log.
    """
    files: dict[str, bytes] = {}
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        else:
            parts.append(_fenced(cell.source, "python"))
            parts += _shown_by_cell(cell.outputs, f"{name}_files", files)
    return "\n\n".join(part for part in parts if part) + "\n", files


def _shown_by_cell(outputs: list[Any], folder: str, files: dict[str, bytes]) -> Iterator[str]:
    """What a cell prints and shows as Markdown."""
    texts = ["".join(map(_printed, outputs))]
    for output in outputs:
        if "data" in output:
            shown = _shown(output["data"], folder, files)
            if shown is None:
                texts.append(output["data"].get("text/plain", ""))
            else:
                yield from (_text(texts), shown)
                texts = []
    yield _text(texts)


def _text(texts: list[str]) -> str:
    return _fenced("\n".join(text.rstrip("\n") for text in texts if text.strip()), "text")


def _printed(output: Mapping[str, Any]) -> str:
    return str(output["text"]) if output.get("name") == "stdout" else ""


def _shown(data: Mapping[str, Any], folder: str, files: dict[str, bytes]) -> str | None:
    """What a cell shows as Markdown; pictures and pages become files. None where it is text."""
    if "image/png" in data:
        picture = f"{len(files) + 1}.png"
        files[picture] = b64decode(data["image/png"])
        return f"![]({folder}/{picture})"
    html = data.get("text/html", "")
    if frame := _FRAME.search(html):
        page = f"{len(files) + 1}.html"
        files[page] = unescape(frame["page"]).encode()
        return f'<iframe src="{folder}/{page}"{frame["more"]}></iframe>'
    if "<table" in html:
        plain = _LOOKS.sub("", html)  # tables look like those of all pages
        return "\n".join(line.strip() for line in plain.splitlines() if line.strip())
    return None


def _fenced(text: str, language: str) -> str:
    """A block of code, whatever is in it; nothing of an empty text."""
    plain = _COLOURS.sub("", text).rstrip("\n")
    longest = max((len(run) for run in re.findall("`+", plain)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{plain}\n{fence}" if plain.strip() else ""


if __name__ == "__main__":
    main(sys.argv[1:])
