"""What the site adds to the pages of the repository: docstrings and notebooks as Markdown."""

from __future__ import annotations

import importlib
import sys
from base64 import b64encode
from html import escape
from types import SimpleNamespace

import nbformat.v4 as nb
import pytest
from test_docs import ROOT

TOOLS = str(ROOT / "tools")


@pytest.fixture
def tool(monkeypatch):
    """Imports a script of tools/; griffe is in the site's environment alone."""
    monkeypatch.syspath_prepend(TOOLS)
    monkeypatch.setitem(sys.modules, "griffe", SimpleNamespace(Extension=object))
    return importlib.import_module


def test_examples_of_docstrings_are_code(tool):
    text = "What it does.\n\n>>> f(1)  # doctest: +SKIP\n'<a_1>'\n>>> f(2)\n\nArgs:\n    x: One.\n    a, b: Two: more.\n    c, d: See."
    assert tool("site_docstrings").as_markdown(text, ("x", "a", "b", "c")) == (
        "What it does.\n\n```python\n>>> f(1)\n'<a_1>'\n>>> f(2)\n```\n\nArgs:\n    x: One.\n"
        "    a: Two: more.\n    b: Two: more.\n    c, d: See."
    )
    assert tool("site_docstrings").as_markdown("It.\n\n>>> f(1)", ()) == "It.\n\n```python\n>>> f(1)\n```"


def test_an_extension_gives_docstrings_their_names(tool):
    def read(**kind):
        read = SimpleNamespace(docstring=SimpleNamespace(value="It.\n\nArgs:\n    a, b: Two."), **kind)
        tool("site_docstrings").SiteDocstrings().on_instance(obj=read)
        return read.docstring.value.splitlines()[-2:]

    both = ["    a: Two.", "    b: Two."]
    parameters = [SimpleNamespace(name="a"), SimpleNamespace(name="b")]
    assert read(is_function=True, parameters=parameters) == both
    assert read(is_function=False, members={"a": 1, "b": 2}) == both
    assert read(is_function=False, members={"a": 1}) == ["Args:", "    a, b: Two."]
    tool("site_docstrings").SiteDocstrings().on_instance(obj=SimpleNamespace(docstring=None))


def test_links_to_notebooks_lead_to_their_pages(tool):
    text = "[a](../notebooks/01_a.ipynb), [b](02_b.ipynb#the-end) `c.ipynb` [d](https://example.org/d.ipynb)"
    assert tool("site_links").on_page_markdown(text, page=None) == (
        "[a](../notebooks/01_a.md), [b](02_b.md#the-end) `c.ipynb` [d](https://example.org/d.ipynb)"
    )


def outputs():
    picture = {"image/png": b64encode(b"PNG").decode(), "text/plain": "<Figure>"}
    frame = f'<iframe srcdoc="{escape("<p>" + chr(34) + "a" + chr(34) + "</p>")}" width="100%" height="9"></iframe>'
    table = "<div>\n<style scoped>\n p {}\n</style>\n<table>\n\n  <tr><td>1</td></tr>\n</table>\n</div>"
    return [
        nb.new_output("stream", name="stdout", text="\x1b[32mok\x1b[0m ``` \n"),
        nb.new_output("stream", name="stderr", text="WARN Spark"),
        nb.new_output("display_data", data=picture),
        nb.new_output("display_data", data={"text/html": frame, "text/plain": "Page"}),
        nb.new_output("execute_result", data={"text/html": table, "text/plain": "1"}),
        nb.new_output("execute_result", data={"text/html": "<b>no table</b>", "text/plain": "(1, 2)"}),
    ]


def test_a_notebook_is_a_page_with_all_that_it_shows(tool):
    book = nb.new_notebook(cells=[nb.new_markdown_cell("# It"), nb.new_code_cell("f()", outputs=outputs())])
    page, files = tool("notebook_pages").as_page(book, "01_it")
    assert page.split("\n\n") == [
        "# It",
        "```python\nf()\n```",
        "````text\nok ``` \n````",
        "![](01_it_files/1.png)",
        '<iframe src="01_it_files/2.html" width="100%" height="9"></iframe>',
        "<div>\n<table>\n<tr><td>1</td></tr>\n</table>\n</div>",
        "```text\n(1, 2)\n```\n",
    ]
    assert files == {"1.png": b"PNG", "2.html": b'<p>"a"</p>'}


def test_a_notebook_is_run_from_top_to_bottom(tool, tmp_path):
    book = nb.new_notebook(cells=[nb.new_code_cell("x = 1"), nb.new_code_cell("print(x + 1)")])
    (tmp_path / "it.ipynb").write_text(
        nb.writes(book) if hasattr(nb, "writes") else __import__("nbformat").writes(book)
    )
    tool("notebook_pages").main([str(tmp_path / "it.ipynb"), str(tmp_path / "pages")])
    assert (
        tmp_path / "pages" / "it.md"
    ).read_text() == "```python\nx = 1\n```\n\n```python\nprint(x + 1)\n```\n\n```text\n2\n```\n"


def test_the_lock_of_the_site_names_no_registry():
    lock = (ROOT / "setup" / "site.lock").read_text(encoding="utf-8")
    assert "mkdocstrings-python==" in lock
    assert "://" not in lock
    assert "--index" not in lock
