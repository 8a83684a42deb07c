"""The pages about the layout say what the layout is, and links between pages lead somewhere."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest
import yaml

import drq_spark

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as Markdown renderers make them."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_drawing_of_the_rooms_is_the_import_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    floors = [{name.strip().removeprefix("drq_spark.") for name in layer.split("|")} for layer in layers]
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = page.split("## The rooms")[1].split("```")[1].strip().splitlines()
    drawn = [set(re.match(r"(?:[\w/]+ {2,})+", line)[0].replace("/", "").split()) for line in drawing]
    assert drawn == floors


def test_every_module_is_in_the_drawing():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = page.split("## The rooms")[1].split("```")[1]
    top = {
        path.stem for path in (ROOT / "drq_spark").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert {name for name in top - {"__init__"} if not re.search(rf"\b{name}\b", drawing)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8")))
    for link in links:
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


class _Named(yaml.SafeLoader):
    """mkdocs.yml names functions of its own by tags: they are left out."""


_Named.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)


def test_every_page_is_in_the_navigation_of_the_site():
    site = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), _Named)
    named = re.findall(r"[\w/.-]+\.md", str(site["nav"]))
    pages = {str(page.relative_to(ROOT)) for page in PAGES if not page.match("docs/decisions/[0-9]*.md")}
    of_notebooks = {f"notebooks/{path.stem}.md" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert sorted(named) == sorted(pages | of_notebooks)


def test_the_python_page_names_what_is_public_and_there():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    places = re.findall(r"^::: ([\w.]+)\.(\w+)((?:\n    .*)*)", page, re.MULTILINE)
    assert set(drq_spark.__all__) - {"__version__"} <= {name for _, name, _ in places}
    for module, name, options in places:
        found = getattr(importlib.import_module(module), name)
        members = re.findall(r"members: \[(.*)\]", options)
        missing = [member for line in members for member in line.split(", ") if not hasattr(found, member)]
        assert not missing, f"{name} has no {missing}"


GUIDES = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "docs" / "architecture.md",
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
]


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_files_that_guides_name_are_there(page):
    named = re.findall(r"`([\w/]+/(?:\w+\.py)?)`", page.read_text(encoding="utf-8"))
    missing = {name for name in named if not any((folder / name).exists() for folder in (ROOT, ROOT / "drq_spark"))}
    assert missing <= {f"{room.name}/" for room in (ROOT / "drq_spark" / "measure").iterdir()} | {
        "advice/",
        "sections/",
    }
