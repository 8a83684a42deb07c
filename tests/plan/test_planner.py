"""`drq plan` from the command line: the same plan for any layout, the figures by plain counting, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pipeline.catalogues import listing, messy, plain, settings, write
from pipeline.nights import command

pytestmark = [pytest.mark.usefixtures("spark"), pytest.mark.timeout(600)]

GRID = ("--codes", "8", "--codes", "16", "--levels", "2", "--levels", "3", *settings())


def planned(items: str, out: Path, *more: str) -> dict[str, Any]:
    code, said, wrong = command(["plan", "--items", items, "--out", str(out), *GRID, *more])
    assert (code, wrong) == (0, "")
    assert "Proposal" in said or "No proposal" in said
    assert set(listing(out)) == {"plan.json", "plan.html"}  # nothing else, and no staging folder
    assert "All shapes" in (out / "plan.html").read_text()
    kept: dict[str, Any] = json.loads((out / "plan.json").read_text())
    return kept


def test_where_the_sample_is_the_catalogue_the_plan_only_counts(tmp_path: Path) -> None:
    """Every kind of bad row is in it; the figures are those of a fit of the good ones, counted one by one."""
    catalogue = messy(600)
    items = write(catalogue.rows, tmp_path / "items", files=3)
    plan = planned(items, tmp_path / "out", "--target-duplicate-rate", "0.3")
    valid = len(catalogue.kept) + len(catalogue.repeated)
    assert plan["sample"]["items"] == valid
    assert plan["items"] >= valid  # rows that only Python can tell are bad count as items
    for row in plan["shapes"]:
        rate = row["catalogue"]["duplicate_rate"]
        assert rate["low"] <= rate["value"] <= rate["high"]
    assert [(row["codes"], row["levels"]) for row in plan["shapes"]] == [(8, 2), (16, 2), (8, 3), (16, 3)]


def test_figures_are_those_of_plain_counting(tmp_path: Path) -> None:
    rows = plain(300)
    rows = rows.plus([f"copy-{n}" for n in range(6)], [rows.embeddings[n] for n in range(6)])
    plan = planned(write(rows, tmp_path / "items"), tmp_path / "out", "--set", "sample.holdout=0")
    assert (plan["items"], plan["distinct_embeddings"], plan["sample"]["items"]) == (306, 300, 306)
    assert plan["exact_duplicate_rate"] == pytest.approx(6 / 306)
    for row in plan["shapes"]:
        rate = row["catalogue"]["duplicate_rate"]
        assert rate["value"] == pytest.approx(1 - row["sample"]["unique_sids"] / 306)
        assert rate["low"] <= rate["value"] <= rate["high"]
        assert row["catalogue"]["excess_duplicate_rate"]["value"] == pytest.approx(rate["value"] - 6 / 306)
        assert row["sample"]["excess_duplicates"] == 300 - row["sample"]["unique_sids"]


def test_a_part_of_the_items_gives_intervals_and_any_layout_the_same_plan(tmp_path: Path) -> None:
    rows = plain(900)
    options = ("--set", "sample.size=300", "--seed", "5")
    first = planned(write(rows, tmp_path / "one"), tmp_path / "out1", *options)
    other = planned(write(rows.shuffled(), tmp_path / "many", files=7), tmp_path / "out7", *options)
    assert first == other
    assert (first["items"], first["sample"]["items"]) == (900, 300)
    for row in first["shapes"]:
        rate, seen = row["catalogue"]["duplicate_rate"], row["sample"]["duplicate_rate"]
        assert rate["low"] <= rate["value"] <= rate["high"]
        assert rate["value"] > seen  # three times the items
    rates = [row["catalogue"]["duplicate_rate"] for row in first["shapes"]]
    assert any(rate["low"] < rate["high"] for rate in rates)


def test_the_proposal_meets_the_targets_and_nothing_smaller_does(tmp_path: Path) -> None:
    items = write(plain(600), tmp_path / "items")
    plan = planned(items, tmp_path / "out", "--target-duplicate-rate", "0.85", "--target-k-eff", "0.05")
    rows = {(row["codes"], row["levels"]): row["catalogue"] for row in plan["shapes"]}
    fits = [
        shape
        for shape, figures in sorted(rows.items(), key=lambda row: (row[0][0] ** row[0][1], row[0][1]))
        if figures["excess_duplicate_rate"]["high"] <= 0.85 and min(figures["k_eff_share"]) >= 0.05
    ]
    assert fits
    assert (plan["chosen"]["codes"], plan["chosen"]["levels"]) == fits[0]


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    items = write(plain(300), tmp_path / "items")
    before = listing(tmp_path)
    code, said, _ = command(["plan", "--items", items, *GRID, "--target-duplicate-rate", "0.001"])
    assert code == 0
    assert "no shape meets the targets" in said
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (("--target-duplicate-rate", "0"), 2, "--target-duplicate-rate must be above 0"),
        (("--target-duplicate-rate", "2"), 2, "(0.02 is 2 %)"),
        (("--target-k-eff", "1.5"), 2, "--target-k-eff is a share of K"),
        (("--levels", "0"), 2, "--levels from 1"),
        (("--codes", "100"), 3, "can plan up to 6 codes"),
        (("--set", "train.max_memory_gb=0.001"), 2, "train.max_memory_gb is 0.001"),
        (("--set", "items.embedding=nowhere"), 3, "no column 'nowhere'"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(tmp_path: Path, more: tuple[str, ...], code: int, says: str) -> None:
    items = write(plain(60), tmp_path / "items")
    grid = () if "--codes" in more else ("--codes", "4")
    found, _, said = command(["plan", "--items", items, "--out", str(tmp_path / "new" / "out"), *grid, *more])
    assert (found, said.count("\n")) == (code, 1), said
    assert says in said
    assert not (tmp_path / "new").exists()


def test_no_items_are_refused() -> None:
    code, _, said = command(["plan"])
    assert (code, said.count("\n")) == (2, 1)
    assert "--items" in said
