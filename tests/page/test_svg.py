"""Drawings as they stand on a page: one of each kind against a golden file, for the minor version of matplotlib.

Regular expressions turn what matplotlib writes into what a page may hold. Another minor version may write something
that they do not know, without an error: the page would lose its colours or its labels.
"""

from __future__ import annotations

import re

import pytest
from page.golden_charts import CHARTS, VERSION, drawn, golden

_NUMBER = re.compile(r"-?\d+\.?\d*")
_FONT = 1.0  # px that the metrics of another font or of another FreeType may move a text by


def test_this_version_of_matplotlib_has_been_looked_at():
    missing = [name for name in CHARTS if not golden(name).exists()]
    assert not missing, (
        f"matplotlib {VERSION} has no golden drawings yet: see whether the regular expressions in "
        "drq_spark/page/svg.py hold for what it writes, then run python tests/page/golden_charts.py and look at them"
    )


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_what_someone_has_looked_at(name):
    """The same elements, styles and words; numbers may differ by what a font does to the place of a text."""
    expected, found = golden(name).read_text(encoding="utf-8"), drawn(name)
    assert _NUMBER.sub("0", found) == _NUMBER.sub("0", expected)
    numbers = [[float(value) for value in _NUMBER.findall(text)] for text in (found, expected)]
    assert numbers[0] == pytest.approx(numbers[1], abs=_FONT)


@pytest.mark.parametrize("name", CHARTS)
def test_a_drawing_takes_colours_fonts_and_ids_from_the_page(name):
    text = drawn(name)
    assert text.startswith('<svg viewBox="')
    assert "<style" not in text
    assert "font-family" not in text
    assert "xmlns" not in text
    assert not re.search(r"#[0-9a-f]{6}\b", text)
    assert all(found.startswith(f"{name}-") for found in re.findall(r' id="([^"]*)"', text))


def test_words_stay_words():
    assert "&lt;b&gt;" in drawn("bars")
    assert "10 % &amp; more" in drawn("bars")
