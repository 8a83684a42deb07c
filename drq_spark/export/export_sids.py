"""A run's SIDs written in one format."""

from __future__ import annotations

import json
from importlib import import_module

from drq_spark import __version__
from drq_spark.errors import ConfigError
from drq_spark.export.export_formats import Format, Suffix, format_of
from drq_spark.export.export_source import Choices, ExportSource
from drq_spark.export.whole_output import MARK, whole_output
from drq_spark.files import absolute, is_folder, write_bytes
from drq_spark.progress import SILENT, Watcher
from drq_spark.run_state import followed
from drq_spark.runs import Run, open_run
from drq_spark.sids_of_run import reader_rows
from drq_spark.store import Store

PUBLISHED = "published"
"""The run that readers of the channel follow."""


def run_to_export(store: Store, run_id: str, channel: str | None = None, watcher: Watcher = SILENT) -> Run:
    """The run of that id, or `PUBLISHED`.

    Args:
        store: Where it is, for the readers of a channel.
        run_id: Which.
        channel: Whose readers are meant where a run was made for several; those it was made for without it.
        watcher: Is told what goes on.

    Raises:
        ConfigError: there is none, or it has no SIDs.
    """
    known = followed(store) if run_id == PUBLISHED else run_id
    if known is None:
        raise ConfigError(
            f"nothing is published for the readers of {store.channel} in {store.out}: name a run with --run, "
            "drq history lists them"
        )
    run = open_run(store, known, watcher, channel=store.channel if run_id == PUBLISHED else channel)
    if run.state.rows_out is None:
        raise ConfigError(f"run {known} has no SIDs yet: run the same command again that began it")
    return run


def choices_of(
    name: str,
    suffix: str | None = None,
    rows_of: str | None = None,
    dataset: str | None = None,
    *,
    numbered: bool = False,
) -> Choices:
    """What a format leaves open, as named, and None for what it does by itself; tokens as they are by default.

    Raises:
        ConfigError: there is no such format, or it has no such choice.
    """
    form = format_of(name)
    _refuse_other_choices(name, form, {"numbered": numbered or None, "rows-of": rows_of, "dataset": dataset})
    return Choices(_suffix_of(name, form, suffix), numbered, rows_of, dataset or "items")


def _suffix_of(name: str, form: Format, suffix: str | None) -> Suffix:
    if suffix is None:
        return form.suffix[0] if form.suffix else "none"
    for known in form.suffix:
        if known == suffix:
            return known
    if not form.suffix:
        raise ConfigError(f"--suffix: not for {name}, leave it out")
    raise ConfigError(f"--suffix is {suffix!r}; for {name} it may be {', '.join(form.suffix)}")


def _refuse_other_choices(name: str, form: Format, given: dict[str, object]) -> None:
    if other := [f"--{option}" for option, value in given.items() if value is not None and option not in form.takes]:
        raise ConfigError(f"{', '.join(other)}: not for {name}, leave it out")


def export_sids(run: Run, name: str, to: str, choices: Choices, *, overwrite: bool = False) -> int:
    """Write the SIDs that readers find when they follow a run; returns how many items have one.

    Args:
        run: As `run_to_export` gives it.
        name: The format.
        to: Path or URI, of which every node sees the same; it is there as a whole or not at all.
        choices: As `choices_of` gives them.
        overwrite: Whether an earlier export there is replaced.

    Raises:
        ConfigError: something is there, or the run or the machine lacks what the format needs.
        SetupError: a package is missing that the format needs.
        InputRefused: the items file of `rows_of` cannot be used.
    """
    module, _, function = format_of(name).write.partition(":")
    write = getattr(import_module(f"drq_spark.export.{module}"), function)
    source = _source(run, choices)
    with whole_output(absolute(to), overwrite=overwrite) as output:
        write(source, output)
        if is_folder(output.result):
            write_bytes(f"{output.result}/{MARK}", (json.dumps(_told(source, name), indent=2) + "\n").encode())
    return source.items


def _source(run: Run, choices: Choices) -> ExportSource:
    tokenizer = None if run.config.external else run.tokenizer()
    sizes = run.codebook_sizes if tokenizer is None else tokenizer.codebook_sizes
    rows = reader_rows(run.store, run.state).select("item_id", "codes", "sid", "suffix", "moved_from")
    return ExportSource(rows, sizes, run.state, run.config, tokenizer, choices, run.watcher)


def _told(source: ExportSource, name: str) -> dict[str, object]:
    """What the export says of itself."""
    return {
        "format": name,
        "run_id": source.state.run_id,
        "tokenizer_id": source.state.tokenizer_id,
        "items": source.items,
        "codebook_sizes": list(source.codebook_sizes),
        "suffix": source.choices.suffix,
        "drq_spark": __version__,
    }
