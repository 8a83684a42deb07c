"""Text with a row a line: delimiter and header, by the first line."""

from __future__ import annotations

import pytest

from drq_spark.external.delimited_text import text_form


@pytest.mark.parametrize(
    ("line", "delimiter", "header"),
    [
        ("item_id,codes", ",", True), ("item_id\tsid_0\tsid_1", "\t", True), ("\ufeffitem_id;codes", ";", True),
        ("item_id|codes\r", "|", True), ("sku", ",", True), ("", ",", True),
        ("a,1,2", ",", False), ("a\t<a_1><b_2>", "\t", False), ("a;1,2,3", ";", False), ("a,1;2;3", ",", False),
        ('a,"1,2,3"', ",", False), ('"x; y",[1, 2]', ",", False), ("<a_1><b_2>\tred, blue\t0", "\t", False),
        ("1 2 3", ",", False), ("a|12-3-7", "|", False), ("item_id,level 0,level 1", ",", True),
    ],
)  # fmt: skip
def test_the_first_line_tells(line, delimiter, header):
    form = text_form([line, "b,1,2"])
    assert (form.delimiter, form.header) == (delimiter, header)
