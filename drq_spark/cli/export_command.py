"""`drq export`: the SIDs of a run in the form that another system reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from drq_spark.cli.options import DriverMemory, OutOfRun, SchemaOfRun
from drq_spark.cli.surroundings import out_console, store_of, watcher
from drq_spark.errors import ConfigError
from drq_spark.export.export_formats import FORMATS, Format, format_of
from drq_spark.schemas import LIVE

if TYPE_CHECKING:
    from drq_spark.config import Config
    from drq_spark.runs import Run
    from drq_spark.tokens import SidTokens

_SECTION = "tokens."
_WIDTH = 76  # of a line of help beside its indent, in a terminal of 80 columns
_HANGING = " " * 16


def _described(name: str, form: Format) -> str:
    text = f"{name:<15} {form.says} [{form.extension}]"
    return "\n".join(wrap(text, _WIDTH, subsequent_indent=_HANGING))


_LISTED = "\b\n" + "\n".join(_described(name, form) for name, form in FORMATS.items())


def export(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help="One of the formats above.")],
    out: OutOfRun,
    to: Annotated[str, typer.Option("--to", help="Where it goes: a file or folder that is not there yet.")],
    run_id: Annotated[
        str, typer.Option("--run", help="Run id, or published: the run that readers follow.")
    ] = "published",
    channel: Annotated[
        str | None, typer.Option("--channel", help="Whose readers' run; live, or those the run was made for.")
    ] = None,
    schema: SchemaOfRun = None,
    suffix: Annotated[
        str | None,
        typer.Option("--suffix", help="Items that have their suffix beside the codes: none, all, nonzero (not 0)."),
    ] = None,
    numbered: Annotated[
        bool, typer.Option("--numbered", help="Items by number, from 0 in the order of the ids (index-json).")
    ] = False,
    rows_of: Annotated[
        str | None,
        typer.Option("--rows-of", help="Items by their row in these Parquet files (index-json, tensor)."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="What the catalogue is called (sidinspector).")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="tokens.key=value: how tokens are spelled; repeatable. Else as the run was told.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export, or a file.")] = False,
    driver_memory: DriverMemory = None,
) -> None:  # its docstring is set below, from the table of formats
    format_of(form)  # before anything slow
    from drq_spark.export.export_sids import choices_of, export_sids, run_to_export

    choices = choices_of(form, suffix, rows_of, dataset, numbered=numbered)
    watched = watcher()
    run = run_to_export(store_of(out, schema, channel or LIVE), run_id, channel, watched)
    _refuse_gone(run)
    with watched.step("export"):
        spelled = replace(choices, tokens=_spelling(run.config, settings or ()))
        items = export_sids(run, form, to, spelled, overwrite=overwrite)
        watched.note(f"{items:,} items of run {run.state.run_id}")
    out_console.print(f"{form} {to}", highlight=False, soft_wrap=True)


export.__doc__ = f"""Write the SIDs that readers follow, or those of a run, in a form that another system reads.

{_LISTED}
"""


def _spelling(config: Config, settings: Sequence[str]) -> SidTokens:
    """How the run spells tokens, with what --set says laid over it.

    Raises:
        ConfigError: a setting of another section, or a template that cannot be read back.
    """
    from drq_spark.config import load_config

    if other := [text for text in settings if not text.startswith(_SECTION)]:
        raise ConfigError(f"--set {other[0]}: an export takes settings of tokens only, such as tokens.template=...")
    own = {f"{_SECTION}{name}": value for name, value in config.tokens.model_dump().items()}
    return load_config(options=own, settings=settings).tokens.spelling()


def _refuse_gone(run: Run) -> None:
    from drq_spark.upkeep.way_back import what_is_gone

    if (lost := what_is_gone(run.store, run.state)) is not None:
        raise ConfigError(
            f"run {run.state.run_id} cannot be exported, {lost}: drq vacuum has cleared it away (--keep keeps runs, "
            "--retain-hours versions of current_sids); drq history lists the runs"
        )
