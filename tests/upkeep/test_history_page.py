"""The page of nights: one line per figure, gaps where a night has none, a section per channel, no script."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from runs_in_hand import DAY, state_of

from drq_spark.metrics import Metric
from drq_spark.upkeep.history import Past
from drq_spark.upkeep.history_page import render


def night(day: int, channel: str = "live", tokenizer: str = "a", status: str = "published", **figures: float) -> Past:
    """A run of a day; figures by the names of metrics."""
    state = state_of(
        f"{channel}-{day}", run_date=DAY + timedelta(days=day), channel=channel, tokenizer_id=tokenizer, status=status
    )
    drift = {1: 0.01 * day, 2: 0.002 * day} if "residual_share_new" in figures else {}
    return Past(state, {Metric(name): value for name, value in figures.items()}, drift, {})


def nights(channel: str = "live", count: int = 9) -> list[Past]:
    """A first run, nights after it and, from the sixth day on, another tokenizer; newest first."""
    made = []
    for day in range(count):
        figures = {"items": 1000.0 + 20 * day, "unique_sids": 930.0 + 15 * day, "relative_mse": 0.3 + 0.004 * day}
        if day not in (0, 6):
            figures |= {"residual_share_new": 0.32 + 0.01 * day, "residual_share_unseen": 0.33, "churn": 0.001 * day}
        made.append(night(day, channel, "b" if day > 5 else "a", **figures))
    return made[::-1]


def charts(text: str) -> dict[str, str]:
    """Title of a chart -> what a screen reader says of it."""
    return {said.split(":")[0]: said for said in re.findall(r'role="img" aria-label="([^"]*)"', text)}


def test_every_figure_is_a_line_from_the_first_night_to_the_last():
    found = charts(render(nights(), "DIR"))
    assert found.keys() == {
        "Items and different SIDs", "Relative error, all items", "Residual share of new items",
        "Drift of the use of codes", "SIDs changed",
    }  # fmt: skip
    assert "items 1,000 on 2026-01-01, then 1,160 on 2026-01-09; SIDs 930" in found["Items and different SIDs"]
    assert "new 0.33 on 2026-01-02, then 0.4 on 2026-01-09; unseen 0.33" in found["Residual share of new items"]
    assert "level 1 0.01 on 2026-01-02, then 0.08 on 2026-01-09; level 2 0.002" in found["Drift of the use of codes"]


def test_runs_that_readers_never_followed_are_left_out_and_a_page_of_none_says_so():
    failed = night(20, status="gate_failed", items=7.0)
    assert render([failed, *nights()], "DIR") == render(nights(), "DIR")
    empty = render([failed], "DIR")
    assert "Nothing has been published yet" in empty
    assert charts(empty) == {}


def test_a_run_that_was_given_to_another_channel_is_on_the_lines_of_both():
    ours, theirs = night(1, "next", items=900.0), night(0, items=700.0)
    given = replace(ours, state=replace(ours.state, table_versions={"sids": 3, "published": 4, "published_next": 2}))
    alone, both = (re.findall(r'aria-label="Items[^"]*"', render([one, theirs], "DIR")) for one in (ours, given))
    assert ["900" in line for line in alone] == [False, True]
    assert ["900" in line for line in both] == [True, True]
    assert ["700" in line for line in both] == [True, False]


def test_a_figure_that_no_night_has_has_no_chart():
    assert charts(render([night(0, items=5.0, relative_mse=0.0)], "DIR")).keys() == {
        "Items and different SIDs", "Relative error, all items"
    }  # fmt: skip


def test_channels_have_a_section_each_and_ids_of_their_own():
    text = render([*nights("next", 4), *nights()], "DIR")
    assert re.findall(r'<section id="([^"]*)"', text) == ["live", "next"]
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))


def test_the_page_is_one_file_without_scripts_whose_source_is_text():
    text = render(nights(), "<script>alert(1)</script>")
    assert "<script" not in text
    assert "&lt;script&gt;" in text or "script" not in text
    assert not re.search(r"(src|href)=\"(?!#)", text)
    assert not re.search(r"#0[12][0-9a-f]{4}\b", text), "a colour that is no variable of the page"


@pytest.mark.parametrize("place", [0, 4, 8])
def test_a_value_that_changes_changes_the_drawing(place):
    changed = nights()
    changed[place] = night(8 - place, tokenizer=changed[place].state.tokenizer_id, relative_mse=0.9)
    assert render(changed, "DIR") != render(nights(), "DIR")
