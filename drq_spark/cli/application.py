"""All commands in one application, and what becomes of their errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from drq_spark import __version__
from drq_spark.cli.config_command import config
from drq_spark.cli.export_command import export
from drq_spark.cli.measure_command import measure
from drq_spark.cli.step_commands import assign, demo, nightly, publish, report, run, sample, train
from drq_spark.cli.study_commands import compare, inspect, plan, synth
from drq_spark.cli.surroundings import own_session_stopped, show_error
from drq_spark.cli.upkeep_commands import history, status, vacuum
from drq_spark.errors import DrqError
from drq_spark.outside_faults import outside_faults_explained

app = typer.Typer(
    name="drq",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"drq_spark {__version__}")
        raise typer.Exit


# its callback has done all there is to do
@app.callback()
def drq(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Semantic IDs for huge item catalogues with Spark, and the figures that tell how good they are."""


for command in (
    run,
    nightly,
    demo,
    sample,
    train,
    assign,
    measure,
    publish,
    report,
    history,
    status,
    vacuum,
    compare,
    plan,
    synth,
    inspect,
    export,
    config,
):
    app.command()(command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code. Errors that users can meet are one line on stderr, others a traceback."""
    try:
        with own_session_stopped(), outside_faults_explained():
            app(args=list(argv) if argv is not None else None)
    except DrqError as error:
        show_error(str(error))
        return error.exit_code
    except SystemExit as ended:  # how typer ends: 0 done, 2 bad arguments, already shown
        return int(ended.code or 0)
    return 0


def entry_point() -> None:
    """Entry point of the console script, and of wheel tasks, whose runners take SystemExit(0) for a failure."""
    if code := main():
        sys.exit(code)
