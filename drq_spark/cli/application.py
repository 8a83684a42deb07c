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
from drq_spark.cli.study_commands import compare, inspect, plan, probe, states, synth
from drq_spark.cli.surroundings import own_session_stopped, show_error
from drq_spark.cli.upkeep_commands import history, status, vacuum
from drq_spark.errors import DrqError
from drq_spark.outside_faults import outside_faults_explained

app = typer.Typer(
    name="drq",
    no_args_is_help=True,
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


# in the order of use, with what fits into a line of 80 columns
COMMANDS = (
    (run, "All steps: from items to published SIDs and a report."),
    (nightly, "Carry published SIDs on; only new and changed items move."),
    (demo, "drq run on the bundled catalogue of 5,000 items."),
    (sample, "Begin a run and draw its sample."),
    (train, "Train the tokenizer on the sample of a run."),
    (assign, "Give every item of a run its SID."),
    (measure, "Compute the figures of a run, or of SIDs from elsewhere."),
    (publish, "Judge a run, write its report, and move the readers."),
    (report, "Write the report of a run again."),
    (export, "Write SIDs in a format of another system."),
    (history, "The runs so far, and what each changed for readers."),
    (status, "What readers follow, who is at work, what is left over."),
    (vacuum, "Clear away what old runs have left."),
    (compare, "Measure several tokenizers on the same samples."),
    (probe, "Train downstream models on the SIDs of tokenizers."),
    (states, "Move states of users by the new events of a night."),
    (plan, "Propose how many codes and levels a catalogue needs."),
    (synth, "Write a synthetic catalogue of any size, like a real one."),
    (inspect, "Verify a tokenizer artifact and show what it is."),
    (config, "Print the settings with their comments, as YAML."),
)
_EXAMPLES = {
    "run": "drq run --items items.parquet --events events.parquet --out sids --set items.id=sku",
    "nightly": "drq nightly --items main.shop.items --out s3a://bucket/sids --config prod.yaml",
    "measure": "drq measure --sids index.json --items items.parquet --out measured",
    "compare": "drq compare --tokenizers rq_kmeans,drq --seeds 3 --items items.parquet --out compared",
    "probe": "drq probe --tokenizers rq_kmeans,drq --items items.parquet --events events.parquet --out probed",
    "states": "drq states --ranker 3f2c91d07ab4e655 --events events_of_the_night.parquet --out sids",
    "plan": "drq plan --items items.parquet --target-duplicate-rate 0.02 --out planned",
    "export": "drq export index-json --out sids --to sids.index.json",
}
EXIT_CODES = (
    "Exit codes: 0 done; 2 bad arguments or config; 3 input refused; 4 gate failed; 5 overtaken by a newer run; "
    "6 another run is at work; 1 anything else."
)
for command, short in COMMANDS:
    example = _EXAMPLES.get(command.__name__)
    app.command(short_help=short, epilog=f"Example: {example}\n\n{EXIT_CODES}" if example else EXIT_CODES)(command)


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
