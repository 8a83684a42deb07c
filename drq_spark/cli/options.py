"""Options that several commands share, and how named options become settings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from drq_spark.cli.surroundings import take_driver_memory
from drq_spark.files import absolute
from drq_spark.kinds import NAMES

Items = Annotated[
    str | None,
    typer.Option("--items", metavar="PATH", help="Items: path, glob or table name; required, here or as items.path."),
]
Events = Annotated[
    str | None,
    typer.Option("--events", metavar="PATH", help="Events: path, glob or table name; none without it."),
]
After = Annotated[
    str | None,
    typer.Option("--embeddings-after", metavar="PATH", help="A second version of the items: how far embeddings move."),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out", metavar="DIR", help="Folder for tables, tokenizers and the report; required, here or as store.out."
    ),
]
Name = Annotated[
    str | None, typer.Option("--tokenizer", metavar="NAME", help=f"Name of the tokenizer: {NAMES}; drq without it.")
]
Levels = Annotated[int | None, typer.Option("--levels", metavar="L", help="Codes in a SID; 3 without it.")]
Codes = Annotated[
    str | None,
    typer.Option(
        "--codes", metavar="K", help="Codes a level: one number, or one per level such as 256,128,64; 256 without it."
    ),
]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="Of the sample and of training; 0 without it.")]
ConfigFiles = Annotated[
    list[Path] | None, typer.Option("--config", metavar="FILE", help="YAML file; repeatable, later files win.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="section.key=value; repeatable, wins over files.")
]
Source = Annotated[
    str | None,
    typer.Option(
        "--tokenizer-from",
        metavar="DIR",
        help="Use a tokenizer that is there: folder of an artifact, or published. Known items keep their SIDs.",
    ),
]
Retrain = Annotated[
    bool,
    typer.Option(
        "--retrain",
        help="Train a tokenizer from the published one, keeping as many SIDs as train.stability.budget allows.",
    ),
]
Channel = Annotated[
    str | None,
    typer.Option("--channel", metavar="NAME", help="Whose readers it is for (store.channel); live without it."),
]
RunDate = Annotated[
    datetime | None,
    typer.Option("--run-date", metavar="YYYY-MM-DD", formats=["%Y-%m-%d"], help="Logical date; today without it."),
]
# its callback tells the session that the command starts: the command itself has no use for the value
DriverMemory = Annotated[
    str | None,
    typer.Option(
        "--driver-memory",
        metavar="SIZE",
        callback=take_driver_memory,
        help="Java heap of the local Spark, such as 4g; a quarter of the machine or container without it.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print settings and plan (of a night: what would change); write nothing.")
]
RunId = Annotated[str | None, typer.Option("--run", metavar="ID", help="Run id; the latest run without it.")]
OutOfRun = Annotated[str, typer.Option("--out", metavar="DIR", help="Folder of the run.")]
SchemaOfRun = Annotated[
    str | None, typer.Option("--schema", help="catalog.schema of the tables, if they are not in the folder.")
]


def as_settings(
    items: str | None = None,
    events: str | None = None,
    out: str | None = None,
    tokenizer: str | None = None,
    levels: int | None = None,
    codes: str | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """The settings ("section.key" -> value) that these options name; those not given stay as files or defaults say."""
    return named(
        {
            "items.path": items,
            "events.path": events,
            "store.out": absolute(out) if out is not None else None,
            "tokenizer.name": tokenizer,
            "tokenizer.levels": levels,
            "tokenizer.codes": codes_per_level(codes),
            "seed": seed,
        }
    )


def codes_per_level(text: str | None) -> int | list[int] | str | None:
    """What --codes says: one number, or one per level; other text as it is, for the settings to refuse."""
    parts = (text or "").split(",")
    if not all(part.strip().isdecimal() for part in parts):
        return text
    numbers = [int(part) for part in parts]
    return numbers if len(numbers) > 1 else numbers[0]


def named(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}
