"""The frontier of a retraining: every pull with what it keeps and costs, and which one was taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from report.builder import build

from drq_spark.report.sections.change_since_last_run import parts

LADDER = [
    {"pull": None, "freed": 0.0, "kept": 1.0, "unseen_relative_mse": 0.55},
    {"pull": 0.3, "freed": 0.25, "kept": 0.8, "unseen_relative_mse": 0.51},
]
TOLD = {"budget": 0.02, "free_unseen_relative_mse": 0.5, "frontier": LADDER, "kept": 0.05}


def rows_of(told: dict[str, Any]) -> Any:
    return parts(replace(build(), training={"retrained": told}))["frontier"]


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"start": "books", "pull": 0.3, "freed": 0.25}, ["books as they were", "pull 0.3, freed 0.25 (taken)"]),
        ({"start": "books", "pull": None, "freed": 0.0}, ["books as they were (taken)", "pull 0.3, freed 0.25"]),
        (
            {"start": "matching"},
            ["books as they were", "pull 0.3, freed 0.25", "free fit, codes renamed (taken)"],
        ),
    ],
)
def test_what_was_taken_is_marked(choice: dict[str, Any], names: list[str]) -> None:
    table = rows_of(TOLD | choice)
    assert [row[0] for row in table.rows] == names
    assert [row[2] for row in table.rows[:2]] == ["+10.00 %", "+2.00 %"]
    assert "2\N{NO-BREAK SPACE}% was allowed" in table.caption


def test_other_runs_have_none() -> None:
    assert rows_of({"start": "matching", "budget": 0.02}) is None
    assert parts(build())["frontier"] is None


def test_where_no_item_moved_there_is_no_chart_but_a_sentence() -> None:
    data = build()
    still = tuple(replace(row, value=0.0) if row.metric.startswith("churn") else row for row in data.metrics)
    shown = parts(replace(data, metrics=still))
    assert shown["churn"] is None
    assert shown["churn_sentence"] == "0\N{NO-BREAK SPACE}% of the items have another SID than before."
    assert parts(data)["churn"] is not None
