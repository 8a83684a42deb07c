"""The picture of the tree of prefixes."""

from __future__ import annotations

from drq_spark.page.svg import drawing
from drq_spark.report.data import Branch
from drq_spark.report.sections.information_per_level import icicle


def test_the_tree_tells_its_shares():
    branches = (
        Branch(7, 50, (Branch(1, 40), Branch(None, 10))),
        Branch(2, 30, (Branch(0, 10), Branch(3, 10), Branch(None, 10))),
    )
    with drawing():
        chart = icicle(branches, 100, 16)
    assert "holds 50\xa0%" in chart.title
    for words in ("the 2 most used of 16 first codes hold 80\xa0%", "up to 80\xa0% of the items of its first code"):
        assert words in chart.svg
    assert "a_7" in chart.svg
    assert "6.25\xa0%" in chart.caption
