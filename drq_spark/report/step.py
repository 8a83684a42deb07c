"""The last thing that a run does before readers may follow it: its page."""

from __future__ import annotations

from dataclasses import asdict

from drq_spark.files import write_bytes
from drq_spark.outcome import judged
from drq_spark.report.data import ReportData
from drq_spark.report.gather import gather
from drq_spark.report.render import render
from drq_spark.runs import Run


def write_report(run: Run) -> None:
    """Write the page about a measured run.

    Raises:
        ConfigError: The run has no figures.
    """
    write_bytes(run.store.report, render(report_data(run)).encode())


def report_data(run: Run) -> ReportData:
    """What the page of a measured run shows.

    Raises:
        ConfigError: The run has no figures.
    """
    figures = run.figures()
    tokenizer = None if run.config.external else run.tokenizer()
    gate, sids = judged(run, figures), run.sids()
    return gather(run.store, asdict(run.state), sids, run.config, tokenizer, run.codebook_sizes, figures, gate)
