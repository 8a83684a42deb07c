"""What the site adds to the pages of the repository: docstrings and notebooks as Markdown."""

from __future__ import annotations

import importlib
import sys
from base64 import b64encode
from types import SimpleNamespace

import nbformat
import nbformat.v4 as nb
import pytest
from test_docs import ROOT

from drq_spark.run_result import Page

DOCSTRING = """What it does.

>>> f(1)  # doctest: +SKIP
'<a_1>'
>>> f(2)

Args:
    x: One.
    a, b: Two: more.
    c, d: See."""
SHOWN = """What it does.

```python
>>> f(1)
'<a_1>'
>>> f(2)
```

Args:
    x: One.
    a: Two: more.
    b: Two: more.
    c, d: See."""


@pytest.fixture
def tool(monkeypatch):
    """Imports a script of tools/; griffe is in the site's environment alone."""
    monkeypatch.setitem(sys.modules, "griffe", SimpleNamespace(Extension=object))
    return importlib.import_module


def test_examples_of_docstrings_are_code(tool):
    as_markdown = tool("site_docstrings").as_markdown
    assert as_markdown(DOCSTRING, ("x", "a", "b", "c")) == SHOWN
    assert as_markdown("It.\n\n>>> f(1)", ()) == "It.\n\n```python\n>>> f(1)\n```"


def test_an_extension_gives_docstrings_their_names(tool):
    extension = tool("site_docstrings").SiteDocstrings()

    def read(**kind):
        docstring = SimpleNamespace(value="It.\n\nArgs:\n    a, b: Two.")
        extension.on_instance(obj=SimpleNamespace(docstring=docstring, **kind), node=None)
        return docstring.value.splitlines()[3:]

    both = ["    a: Two.", "    b: Two."]
    assert read(is_function=True, parameters=[SimpleNamespace(name="a"), SimpleNamespace(name="b")]) == both
    assert read(is_function=False, members={"a": 1, "b": 2}) == both
    assert read(is_function=False, members={"a": 1}) == ["    a, b: Two."]
    extension.on_instance(obj=SimpleNamespace(docstring=None))


def test_links_to_notebooks_lead_to_their_pages(tool):
    text = "[a](../notebooks/01_a.ipynb), [b](02_b.ipynb#the-end) `c.ipynb` [d](https://example.org/d.ipynb)"
    assert tool("site_links").on_page_markdown(text, page=None) == (
        "[a](../notebooks/01_a.md), [b](02_b.md#the-end) `c.ipynb` [d](https://example.org/d.ipynb)"
    )


def outputs():
    """All kinds of them."""
    table = '<div>\n<style scoped>\n p {}\n</style>\n<table border="1" class="dataframe">\n\n  <tr style="x">'
    table += "<td>1</td></tr>\n</table>\n</div>"
    report = Page('<p>"a"</p>', height=9)._repr_html_()
    return [
        nb.new_output("stream", name="stdout", text="\x1b[32mok\x1b[0m ``` \n"),
        nb.new_output("stream", name="stderr", text="WARN Spark"),
        nb.new_output("stream", name="stdout", text="next\n"),
        nb.new_output("display_data", data={"image/png": b64encode(b"PNG").decode(), "text/plain": "<Figure>"}),
        nb.new_output("display_data", data={"text/html": report, "text/plain": "Page"}),
        nb.new_output("execute_result", data={"text/html": table, "text/plain": "1"}),
        nb.new_output("display_data", data={"text/html": "<b>no table</b>", "text/plain": "done\n"}),
        nb.new_output("execute_result", data={"text/html": "<b>no table</b>", "text/plain": "(1, 2)"}),
    ]


def test_a_notebook_is_a_page_with_all_that_it_shows(tool):
    book = nb.new_notebook(cells=[nb.new_markdown_cell("# It"), nb.new_code_cell("f()", outputs=outputs())])
    page, files = tool("notebook_pages").as_page(book, "01_it")
    assert page.split("\n\n") == [
        "# It",
        "```python\nf()\n```",
        "````text\nok ``` \nnext\n````",
        "![](01_it_files/1.png)",
        '<iframe src="01_it_files/2.html" width="100%" height="9" style="border: 0"></iframe>',
        "<div>\n<table>\n<tr><td>1</td></tr>\n</table>\n</div>",
        "```text\ndone\n(1, 2)\n```\n",
    ]
    assert files == {"1.png": b"PNG", "2.html": b'<p>"a"</p>'}


def test_a_notebook_is_run_from_top_to_bottom(tool, tmp_path):
    book = nb.new_notebook(cells=[nb.new_code_cell("x = 1"), nb.new_code_cell("print(x + 1)")])
    nbformat.write(book, tmp_path / "it.ipynb")
    tool("notebook_pages").main([str(tmp_path / "it.ipynb"), str(tmp_path / "pages")])
    page = (tmp_path / "pages" / "it.md").read_text()
    assert page.split("\n\n") == ["```python\nx = 1\n```", "```python\nprint(x + 1)\n```", "```text\n2\n```\n"]


def test_the_lock_of_the_site_names_no_registry():
    lock = (ROOT / "setup" / "site.lock").read_text(encoding="utf-8")
    assert "mkdocstrings-python==" in lock
    assert "://" not in lock
    assert "--index" not in lock
