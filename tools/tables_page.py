"""Write docs/tables.md from drq_spark/schemas.py (`make docs`); with --check say whether it is so.

The page is checked in because people read it; it is generated so that it cannot name another column than the tables
have.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from checked_in import write_or_check

from drq_spark.schemas import (
    BEHAVIOUR_ITEMS,
    BEHAVIOUR_PAIRS,
    CODE_CONFUSION,
    CODE_USAGE,
    ITEMS_AT_RISK,
    LIVE,
    METRICS,
    PUBLISHED,
    RUNS,
    SAMPLE,
    SID_CHANGES,
    SID_QUARANTINE,
    SID_USAGE,
    SIDS,
    TABLES,
    Table,
)

TARGET = Path(__file__).parents[1] / "docs" / "tables.md"

HEAD = """\
# Tables

<!-- Written by `make docs` from drq_spark/schemas.py: change it there. -->

Every run writes its rows into these Delta tables, under `DIR/tables/<name>` or, with
`--set store.schema_name=catalog.schema`, in the catalog. A table is partitioned by `run_id`, and a run replaces its own
slice only; `published` and `lease` have one row for all runs, `current_sids` one row an item, `user_states` one row a
user and ranker, and `sid_changes` is by version of `current_sids`: a reader of version 7 takes the rows above 7, up to
the version that it finds. *id* is the type of your item ids, string or an integer type. The same comments stand in the
tables themselves.
"""


@dataclass(frozen=True)
class Join:
    """Two tables that are read together, on columns that both have."""

    left: Table
    right: Table
    on: tuple[str, ...]
    why: str

    def sql(self) -> str:
        """A query over both."""
        return f"SELECT * FROM {self.left.name} JOIN {self.right.name} USING ({', '.join(self.on)});"

    def mermaid(self) -> str:
        """A line of an entity relationship diagram."""
        ends = ("|o" if _one_row(self.left, self.on) else "}o", "o|" if _one_row(self.right, self.on) else "o{")
        return f'    {self.left.name} {ends[0]}--{ends[1]} {self.right.name} : "{", ".join(self.on)}"'


JOINS = (
    Join(SID_CHANGES, RUNS, ("run_id",), "what readers found anew from night to night"),
    Join(SIDS, PUBLISHED, ("run_id",), "the SIDs that readers follow"),
    Join(PUBLISHED, RUNS, ("run_id",), "settings, seconds and versions of the run that readers follow"),
    Join(METRICS, RUNS, ("run_id",), "figures from night to night"),
    Join(SID_QUARANTINE, RUNS, ("run_id",), "rows without a SID from night to night"),
    Join(SIDS, SAMPLE, ("run_id", "item_id"), "the SIDs of the items that trained the tokenizer"),
    Join(SIDS, SID_USAGE, ("run_id", "sid"), "all items of the largest buckets"),
    Join(SIDS, ITEMS_AT_RISK, ("run_id", "item_id"), "the SIDs that the least change flips"),
    Join(CODE_CONFUSION, CODE_USAGE, ("run_id", "level", "code"), "how much a code loses to another, beside its use"),
    Join(BEHAVIOUR_PAIRS, BEHAVIOUR_ITEMS, ("run_id", "item_id"), "the embedding of the first item of a pair"),
)


def main(arguments: list[str]) -> int:
    """Write the page, or with --check compare it; 1 where it is out of date."""
    return write_or_check(arguments, TARGET, page(), "drq_spark/schemas.py says", "make docs")


def page() -> str:
    """The text of docs/tables.md."""
    return "\n".join([HEAD, *_overview(), *_joins(), *(line for table in TABLES for line in _section(table))])


def _overview() -> list[str]:
    rows = [f"| [`{table.name}`](#{table.name}) | {table.comment} | {_key(table)} |" for table in TABLES]
    return ["| table | rows | key |", "|---|---|---|", *rows, ""]


def _joins() -> list[str]:
    diagram = ["```mermaid", "erDiagram", *(join.mermaid() for join in JOINS), "```"]
    queries = [line for join in JOINS for line in (f"-- {join.why}", join.sql())]
    return ["## What is joined on what", "", *diagram, "", "```sql", *queries, "```", ""]


def _section(table: Table) -> list[str]:
    rows = [
        f"| `{column.name}` | {_type(column.type)} | {'no' if column.required else 'yes'} | {_cell(column.comment)} |"
        for column in table.columns
    ]
    rules = [f"Every row meets `{condition}` (`{name}`)." for name, condition in table.constraints]
    keyed = f" Key: {_key(table)}." if table.key else ""
    channels = f" Every channel but `{LIVE}` has one of its own, `{table.name}_CHANNEL`." if table.by_channel else ""
    head = [f"## {table.name}", "", f"{table.comment}.{keyed}{channels}", ""]
    return [*head, "| column | type | NULL | what |", "|---|---|---|---|", *rows, "", *_spaced(rules)]


def _spaced(lines: list[str]) -> list[str]:
    return [part for line in lines for part in (line, "")]


def _key(table: Table) -> str:
    return ", ".join(f"`{name}`" for name in table.key)


def _type(text: str) -> str:
    return _cell(text.replace("{id}", "*id*"))


def _cell(text: str) -> str:
    """Text that a cell of a Markdown table can hold."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


def _one_row(table: Table, on: tuple[str, ...]) -> bool:
    """Whether at most one row of a table has given values in these columns."""
    return set(table.key) <= set(on) if table.key else not table.by_run


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
