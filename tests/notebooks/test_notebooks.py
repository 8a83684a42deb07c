"""Every notebook runs from top to bottom, as a user would run it, and shows what its text says.

Those with Spark share a kernel, so that Spark starts once; the others have one each and find no Java. With
`--notebook-pages` they leave their pages for the site, which are those of a kernel of its own.
"""

from __future__ import annotations

import re
from ast import literal_eval
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client import KernelManager
from matplotlib import image
from nbclient import NotebookClient
from notebook_pages import write_page

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
WITHOUT_SPARK = {"04_tokenizer_and_shape", "05_generator_and_ranker"}


@dataclass(frozen=True)
class Shown:
    """What a notebook has shown: texts of its cells, pages and pictures."""

    texts: list[str]
    pages: list[str]
    pictures: list[bytes]

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    def table(self, heading: str) -> dict[str, list[float]]:
        """The numbers at the end of each row of a data frame by what stands before them; its head holds a text."""
        (text,) = [text for text in self.texts if heading in text.partition("\n")[0]]
        rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()[1:]]
        return {name: numbers for name, numbers in map(_named_numbers, rows) if numbers}


def _named_numbers(row: list[str]) -> tuple[str, list[float]]:
    words = [place for place, cell in enumerate(row) if not re.fullmatch(r"-?[0-9.]+|NaN", cell)]
    last = words[-1] if words else 0
    return row[last], [float(cell) for cell in row[last + 1 :]]


def quickstart(shown: Shown) -> None:
    assert "'published', 5000" in shown.text


def own_table(shown: Shown) -> None:
    assert "805 rows in = 800 with a SID + 5 in quarantine" in shown.text
    reasons = {
        "A0001": "duplicate_id",
        "NULL": "null_id",
        "B0001": "null",
        "B0002": "wrong_dimension",
        "B0003": "not_finite",
    }
    for item, reason in reasons.items():
        assert re.search(rf"\|{item} *\|{reason} *\|", shown.text)
    assert "items table has no column 'SKU_ID'" in shown.text
    assert "items.max_bad_share = 0.001" in shown.text
    assert "(True, True)" in shown.texts, "a run by a file of settings is the same run"
    assert re.search(r"B0003\| *Article 4\| *NULL\| *NULL", shown.text), "no SID without an embedding"


def report(shown: Shown) -> None:
    assert "FAILED" not in shown.text
    assert "passed: relative_mse" in shown.text
    assert re.search(r"exact_duplicate_rate .* 0\.083 ", shown.text), "100 copies among 1,200 items"
    assert len(shown.pictures) == 3
    assert "drq_spark" in shown.pages[0]


def shape(shown: Shown) -> None:
    by_shape = shown.table("K    32")
    two, three, four = (by_shape[level] for level in "234")
    for rates in (two, three, four):
        assert rates == sorted(rates, reverse=True), "more codes lower the duplicates"
    assert all(a > b > c for a, b, c in zip(two, three, four, strict=True)), "and so do more levels"
    chosen = re.search(r"K = (\d+) on (\d) levels: duplicates ([0-9.]+)%, target 10%", shown.text)
    assert float(chosen[3]) <= 10
    assert round(100 * by_shape[chosen[2]][[32, 64, 128, 256].index(int(chosen[1]))], 1) == float(chosen[3])
    side_by_side = shown.table("unseen error")
    assert set(side_by_side) == {"rq_kmeans", "drq", "drq_vae"}
    assert side_by_side["drq"][2] > side_by_side["rq_kmeans"][2], "drq evens out the use of codes"


def generator_and_ranker(shown: Shown) -> None:
    assert "194 tokens" in shown.text, "3 x 64 codes, begin and end"
    free, in_tree = (float(share) for share in re.findall(r"([0-9.]+)% of the SIDs are nobody's", shown.text))
    assert free > in_tree == 0
    model, popular = (float(share) for share in re.findall(r"([0-9.]+)% of the next items", shown.text))
    assert model > popular
    auc = shown.table("known items")
    assert auc["item id"][1] == pytest.approx(0.5, abs=0.001)
    assert auc["prefix of 1"][1] > 0.7
    assert auc["all prefixes"][0] > auc["item id"][0]


def nights(shown: Shown) -> None:
    assert re.search(r"added +70\nmoved +\d+\nremoved +25", shown.text)
    assert re.search(r"0 +2025-06-03 +published +70 +\d+ +25 .*\n1 +2025-06-02 +published +700 +0 +0 ", shown.text), (
        "the newest first"
    )
    assert "the tokenizer is the same: True" in shown.text
    assert re.search(r"readers follow 2025-06-03-\w+: 745 items", shown.text)
    assert "Retrain on the catalogue of today" in shown.pages[0]


def elsewhere(shown: Shown) -> None:
    first_look = shown.table("theirs")
    (measured,) = [literal_eval(text) for text in shown.texts if text.startswith("{'duplicate_rate'")]
    assert measured["duplicate_rate"] == first_look["duplicate rate"][0]
    assert measured["relative_mse"] == pytest.approx(first_look["relative error"][0], abs=0.0011)
    assert first_look["relative error"][1] < first_look["relative error"][0]
    assert "set sids.base=1" in shown.text


def cluster(shown: Shown) -> None:
    settings = {"K": 1024, "L": 4, "sample": 500000, "id": "sku", "tables": "main.sids", "rules of the gate": 4}
    assert settings in [literal_eval(text) for text in shown.texts if text.startswith("{'K'")]
    assert "unknown setting 'tokenizer.level'" in shown.text
    assert "secret" not in shown.text
    assert {"0", "(0, 0)", "True"} <= set(shown.texts), "a run, the same again, and the same under any partitions"


SHOWS = {
    "01_quickstart": quickstart,
    "02_my_own_table": own_table,
    "03_reading_the_report": report,
    "04_tokenizer_and_shape": shape,
    "05_generator_and_ranker": generator_and_ranker,
    "06_nights": nights,
    "07_sids_from_elsewhere": elsewhere,
    "08_on_a_cluster": cluster,
}


@pytest.fixture(scope="module")
def kernel_with_spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KernelManager, Path]]:
    """One kernel for the notebooks that use Spark, and the folder that it was started in."""
    folder = tmp_path_factory.mktemp("notebooks")
    manager = KernelManager()
    manager.start_kernel(cwd=str(folder))
    yield manager, folder
    manager.shutdown_kernel(now=True)


def executed(path: Path, folder: Path, manager: KernelManager | None = None) -> Any:
    """The notebook with its outputs, run in a folder, in a kernel that is there or in one of its own."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, km=manager, timeout=500, resources=resources)
    try:
        client.execute()
    finally:
        if client.kc is not None:  # the client leaves the sockets to a kernel that it has not started itself open
            client.kc.stop_channels()
    del notebook.cells[0]
    return notebook


def shown_by(notebook: Any) -> Shown:
    """What a notebook has shown."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    data = [output.get("data", {}) for output in outputs]
    texts = [output.get("text", part.get("text/plain", "")) for output, part in zip(outputs, data, strict=True)]
    pages = [part["text/html"] for part in data if "<iframe" in part.get("text/html", "")]
    return Shown(texts, pages, [b64decode(part["image/png"]) for part in data if "image/png" in part])


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=[] if path.stem in WITHOUT_SPARK else [pytest.mark.spark])
     for path in NOTEBOOKS],
)  # fmt: skip
def test_a_notebook_runs_and_shows_what_it_says(path: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    manager, folder = None, tmp_path
    if path.stem not in WITHOUT_SPARK:
        manager, folder = request.getfixturevalue("kernel_with_spark")
    notebook = executed(path, folder, manager)
    shown = shown_by(notebook)
    SHOWS[path.stem](shown)
    for picture in shown.pictures:
        corner = image.imread(BytesIO(picture))[0, 0]
        assert (corner[:3] > 0.9).all(), "pictures bring a light ground, so that they are readable on a dark page"
        assert corner[3:].tolist() in ([], [1.0])
    assert not list(folder.iterdir()), "a notebook must leave nothing in the folder it is started in"
    if pages := request.config.getoption("--notebook-pages"):
        write_page(notebook, path.stem, pages)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_of_a_notebook_lead_somewhere(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for link in re.findall(r"\]\(([^)\s#]+)", text):
        assert "://" in link or (path.parent / link).exists(), link
