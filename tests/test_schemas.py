"""The declared tables: keys that can be keys, joins on columns that are there, and the page about them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tables_page

from drq_spark.schemas import CODE_USAGE, PUBLISHED, SIDS, TABLES

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "tools" / "tables_page.py"

NULLABLE_KEYS = {("code_confusion", "eta"), ("metrics", "eta"), ("metrics", "ruler")}  # NULL is a value of its own


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
class TestTables:
    def test_columns_of_the_key_are_columns_that_rows_have(self, table):
        columns = {column.name: column for column in table.columns}
        assert set(table.key) <= set(columns)
        optional = {(table.name, name) for name in table.key if not columns[name].required}
        assert optional <= NULLABLE_KEYS

    def test_names_are_used_once(self, table):
        names = table.column_names()
        assert len(set(names)) == len(names)

    def test_slices_of_a_run_can_be_replaced(self, table):
        assert "run_id" in table.column_names() or not table.by_run
        assert not table.key or "run_id" in table.key or not table.by_run


class TestPage:
    def test_it_is_what_the_tables_are(self):
        reply = subprocess.run([sys.executable, str(TOOL), "--check"], capture_output=True, text=True, check=False)
        assert (reply.returncode, reply.stderr) == (0, "")

    def test_every_column_stands_on_it(self):
        lines = tables_page.TARGET.read_text(encoding="utf-8").splitlines()
        starts = {table.name: lines.index(f"## {table.name}") for table in TABLES}
        for table in TABLES:
            section = lines[starts[table.name] + 1 :]
            ends = [place for place, line in enumerate(section) if line.startswith("## ")]
            section = section[: ends[0]] if ends else section
            named = [line.split("`")[1] for line in section if line.startswith("| `")]
            assert named == table.column_names()

    def test_an_old_page_is_told(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(tables_page, "TARGET", tmp_path / "tables.md")
        assert tables_page.main(["--check"]) == 1
        assert "run `make docs`" in capsys.readouterr().err
        assert tables_page.main([]) == 0
        assert tables_page.main(["--check"]) == 0

    def test_joins_are_on_columns_that_both_tables_have(self):
        for join in tables_page.JOINS:
            assert set(join.on) <= set(join.left.column_names()) & set(join.right.column_names()), join.sql()

    def test_the_ends_of_a_join_say_how_many_rows_meet(self):
        many_to_one = tables_page.Join(SIDS, PUBLISHED, ("run_id",), "")
        assert many_to_one.mermaid() == '    sids }o--o| published : "run_id"'
        many_to_many = tables_page.Join(SIDS, CODE_USAGE, ("run_id",), "")
        assert many_to_many.mermaid() == '    sids }o--o{ code_usage : "run_id"'
